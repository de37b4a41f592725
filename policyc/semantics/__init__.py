"""Layer 3: syntax tree to resolved policy, resolved policy to decision map."""
