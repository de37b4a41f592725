"""Layer 4: what can be said about a policy beside its images: summaries, obligations, explanations."""
