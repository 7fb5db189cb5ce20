"""Engines that compute a model file: host arrays in, host arrays out."""
