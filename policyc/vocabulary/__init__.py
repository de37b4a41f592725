"""Layer 0: the words every other layer speaks: places in a source, diagnostics, accesses, interval sets."""
