"""What samples say: figures, intervals, verdicts, on plain numbers."""
