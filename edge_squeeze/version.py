"""The version of edge-squeeze, which the package's metadata take from here."""

__version__ = "0.14.0"
