"""Weights files of every kind, recognized by what is in them and read as the untrusted input they are."""
