"""The C of templates/exit_handler/ that is copied into exit handlers as it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from policyc import resources

FOLDER = "templates"
PARTS = ("decide.c", "registry.c", "actions.c", "vcpu.c")
"""Files that every handler has, in the order of their definitions."""
GUEST_PART = "guest.c"
TARGET_PARTS = {"vmx": (GUEST_PART, "vmx.c"), "svm": (GUEST_PART, "svm.c"), "kvm": ("kvm.c",)}
"""What each target adds."""

_DEFINITION = re.compile(r"^\w[^\n;={}()]*?\b(\w+)\([^;{}]*\)\n\{", re.MULTILINE)
_UNDER_ITS_TYPE = re.compile(r"(?<=[\w*])\n(?=\w+\()")
"""Between a function's type and its name where these stand on two lines."""


def part(name: str) -> str:
    return resources.read(FOLDER, f"exit_handler/{name}")


def code(targets: Iterable[str]) -> str:
    """All parts of a handler with the entry points of these targets."""
    wanted = dict.fromkeys(name for target in targets for name in TARGET_PARTS[target])
    return "\n".join(part(name) for name in (*PARTS, *wanted))


@cache
def defined() -> frozenset[str]:
    """The functions that handlers have of their own, of whichever target: a policy is right or wrong for all alike."""
    return frozenset(_DEFINITION.findall(_UNDER_ITS_TYPE.sub(" ", code(TARGET_PARTS))))
