"""Layer 1: facts of the hardware and of KVM, each once, each with the manual it was read from."""
