"""Where the ranges of quantized files come from."""
