"""The machine: host, cores and device, as they are."""
