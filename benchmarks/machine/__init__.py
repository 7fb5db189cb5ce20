"""What the machine does under a measurement: clocks, temperatures, disturbances."""
