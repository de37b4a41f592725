"""Layer 6: a resolved policy as JSON, the way in and out for programs. Its form is policyc/schema/ir-1.json."""
