"""Where a file's loss comes from."""
