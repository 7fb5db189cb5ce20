"""The SqueezeNets: the table of them, the choice of one, what builds it, and its arithmetic."""
