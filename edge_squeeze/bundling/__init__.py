"""Copying exported artifacts to where an app can read them."""
