"""One file for each format: Keras model -> bytes."""
