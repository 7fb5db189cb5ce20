"""Reports: one page about several artifacts, made of what export, verify, benchmark and evaluate left on disk."""
