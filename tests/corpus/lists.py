"""The intercept lists of real hypervisors, each restated as data: disjoint final states over a default.

``lists/NAME.json`` holds the list and what its image must be: sizes, SHA-256, popcounts. ``msr`` and ``io`` entries
read ``0x800..0x83f rw``: inclusive numbers, then the accesses that exit (``r``, ``w``, ``rw``; ``exit`` for ports) or
``-`` where they pass. ``io_default`` null: the hypervisor gives no I/O bitmap, so no port is part of the list.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in (HERE / "lists").glob("*.json"))


class Entry(NamedTuple):
    lo: int
    hi: int
    exits: str


class RealList(NamedTuple):
    """target: vmx, svm or kvm. Defaults: whether what is not listed exits; io_default None where ports have no say."""

    name: str
    target: str
    default_exits: bool
    io_default_exits: bool | None
    msr: tuple[Entry, ...]
    io: tuple[Entry, ...]
    expected: dict[str, Any]
    raw: dict[str, Any]


def entry(text: str) -> Entry:
    where, exits = text.split()
    lo, _, hi = where.partition("..")
    return Entry(int(lo, 0), int(hi or lo, 0), exits.replace("-", ""))


def load(name: str) -> RealList:
    raw = json.loads((HERE / "lists" / f"{name}.json").read_text(encoding="utf-8"))
    io_default = raw["io_default"]
    return RealList(
        name,
        {"vmx": "vmx", "svm": "svm", "kvm-filter": "kvm"}[raw["format"]],
        raw["default"] == "deny",
        None if io_default is None else io_default == "deny",
        tuple(entry(each) for each in raw["msr"]),
        tuple(entry(each) for each in raw["io"]),
        raw["expected"],
        raw,
    )


def naive_policy(each: RealList) -> str:
    """The list as a policy of one line an interval and direction, numbers only."""
    io = "exit" if each.io_default_exits in (True, None) else "passthrough"
    lines = ["language 1", f"target {each.target}", f"default msr {'exit' if each.default_exits else 'passthrough'}"]
    lines.append(f"default io {io}")
    if each.target == "kvm" and each.default_exits and not any(lo <= 0x800 <= hi for lo, hi, _ in each.msr):
        lines.append("allow msr 0x800..0x8ff  # KVM never filters these")
    for lo, hi, exits in each.msr:
        for letter, word in (("r", "read"), ("w", "write")):
            verb = "intercept" if letter in exits else "allow"
            if (verb == "intercept") != each.default_exits:
                lines.append(f"{verb} msr {lo:#x}..{hi:#x} {word}")
    for lo, hi, exits in each.io:
        if bool(exits) != each.io_default_exits:
            lines.append(f"{'intercept' if exits else 'allow'} io {lo:#x}..{hi:#x}")
    return "\n".join(lines) + "\n"
