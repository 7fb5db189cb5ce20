"""Proof that a file computes what its original computes: figures, gates, golden files, pictures."""
