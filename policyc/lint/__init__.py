"""What a careful reviewer would say of a policy that compiles: one rule a file in ``rules/``, listed in registry.py."""
