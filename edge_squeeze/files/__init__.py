"""Files: read with limits, decoded, locked, written whole or not at all, fetched once."""
