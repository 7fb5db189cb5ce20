"""Training of the networks from scratch, on labelled pictures: a short one, and an honest figure at its end."""
