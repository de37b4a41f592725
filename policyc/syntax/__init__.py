"""Layer 2: text to syntax tree."""
