"""policyc: a declarative intercept policy, compiled into proven VT-x, SVM and KVM permission images."""

__version__ = "0.1.0"
