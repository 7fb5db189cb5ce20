"""What `edge-squeeze doctor` finds out: what this installation can do on this machine, and what helps."""
