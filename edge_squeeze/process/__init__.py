"""Processes: captured output, limited memory, a supervised child, and what systems lack."""
