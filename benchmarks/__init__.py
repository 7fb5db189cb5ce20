"""Exported file -> numbers."""
