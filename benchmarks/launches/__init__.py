"""Launches: fresh processes that measure one arm once, and what passes to and from them."""
