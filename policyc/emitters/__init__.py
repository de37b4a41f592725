"""Layer 5: what a compiler reads. An emitter turns a policy and its decision maps into source files."""
