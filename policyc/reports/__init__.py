"""Layer 5: what policyc says, as text for people and as lines, JSON and workflow commands for programs."""
