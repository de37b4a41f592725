"""Layer 1: what is known of each MSR and I/O port: its names, its nature, and where that was read."""
