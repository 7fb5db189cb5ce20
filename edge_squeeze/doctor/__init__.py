"""The work of `edge-squeeze doctor`: what this installation can do on this machine, and what to do about problems."""
