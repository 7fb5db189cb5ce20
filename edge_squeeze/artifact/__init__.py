"""The folder that an export leaves: its manifest, its labels, its files."""
