"""A stand-in for MSG91: its wire format, a record of what it took, and faults on demand."""
