"""Keras model -> bytes of a file that runs elsewhere: one file per format, and what every format shares."""
