"""Exact rewrites of the model: of Keras layers before it is converted, of operators on the way."""
