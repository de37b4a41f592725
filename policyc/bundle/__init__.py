"""Layer 6: the bundle, what a compile leaves behind: its manifest, how it is written and how it is read back."""
