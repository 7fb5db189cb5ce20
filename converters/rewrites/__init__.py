"""Exact rewrites of the Keras model before it is converted."""
