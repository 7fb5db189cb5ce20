"""The machine under a measurement: its cores, what it is, what it does meanwhile."""
