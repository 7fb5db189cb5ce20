"""Evaluation: what artifacts answer for many labeled pictures, and what that says of their accuracy."""
