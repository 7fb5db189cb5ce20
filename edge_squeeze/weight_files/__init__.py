"""Weights files of every kind, recognised by what is in them and read as the untrusted input they are."""
