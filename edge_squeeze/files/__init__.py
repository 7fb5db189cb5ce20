"""Files: read with limits, decoded, written whole or not at all, fetched once."""
