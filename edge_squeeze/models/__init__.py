"""What is exported: a variant with weights or a user's model, and its Keras original."""
