"""Training of the networks from scratch, on labeled pictures: a short one, and an honest figure at its end."""
