"""Boards that are reached by ssh."""
