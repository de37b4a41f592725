"""Policies of any size, the same in every run."""

from __future__ import annotations

HEAD = "language 1\ntarget vmx, kvm\ndefault passthrough\n"


def plain(rules: int) -> str:
    """That many disjoint plain rules, one a line, ports and MSRs in turn; at most 16,000.

    The ports are ranges of two, the MSRs single ones in both windows; every action needs no argument.
    """
    assert rules <= 16_000
    lines = []
    for number in range(rules):
        at, action = number // 2, ("drop", "log, exit", "count, exit")[number % 3]
        if number % 2:
            base = 0xC0000000 if at % 2 else 0
            lines.append(f"intercept msr {base + at // 2 + 0x100:#x} write -> log, exit")
        else:
            lines.append(f"intercept io {at * 8:#x}..{at * 8 + 1:#x} -> {action}")
    return HEAD + "\n".join(lines) + "\n"
