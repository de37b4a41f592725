"""The targets by name. A target's module is imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module

from policyc.targets.base import Target

NAMES = ("vmx", "svm", "kvm")
DEFAULT = ("vmx", "kvm")
"""What a policy compiles to when neither it nor the command line names a target."""


def target(name: str) -> Target:
    """The target of that name. Raises KeyError for a name that is not in NAMES."""
    if name not in NAMES:
        raise KeyError(name)
    found: Target = import_module(f"policyc.targets.{name}").TARGET
    return found
