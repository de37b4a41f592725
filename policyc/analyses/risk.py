"""What the database knows of addresses that are opened to a guest, in the words of its tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from policyc.analyses.diff import OPENS, Comparison
from policyc.vocabulary.access import IO, IO_MASK, MSR, MSR_MASK, MSR_READ, MSR_WRITE
from policyc.vocabulary.intervals import Intervals, intersect, normal

_WRITE, _ANY = 1 << MSR_WRITE | IO_MASK, MSR_MASK | IO_MASK

TAGS: dict[str, tuple[str, int]] = {
    "reset": ("resets the machine or powers it off", _WRITE),
    "smm": ("runs firmware code", _WRITE),
    "microcode": ("changes the processor's microcode", _WRITE),
    "host-critical": ("changes what the host relies on", _WRITE),
    "memory-type": ("changes how the host's memory is cached", _WRITE),
    "mce": ("changes how machine checks are reported", _WRITE),
    "power": ("sets voltage, clock or power limits", _WRITE),
    "trace": ("traces into memory", _WRITE),
    "debug": ("sets debug features of the processor", _WRITE),
    "pci-config": ("configures PCI devices", _WRITE),
    "acpi": ("drives the platform's power management", _WRITE),
    "backdoor": ("talks to an outer hypervisor", _ANY),
    "side-channel": ("leaks what other guests do", _ANY),
    "identity": ("tells this machine from others", 1 << MSR_READ),
}
"""Tag -> what an opened access does, and the columns in which it does; the gravest first. Reading an I/O port counts as
writing it: it may act on the device."""


class Tagged(Protocol):
    """The database as far as it is needed here."""

    def msrs_tagged(self, *tags: str) -> Iterable[tuple[str, int, int, int, str, str, frozenset[str]]]: ...
    def port_tags(self, port: int) -> frozenset[str]: ...


class Risk(NamedTuple):
    """tag: a key of TAGS. ranges: addresses of the space that are opened and have it."""

    tag: str
    space: str
    ranges: Intervals

    @property
    def about(self) -> str:
        return TAGS[self.tag][0]


def risks(comparison: Comparison, names: Tagged) -> tuple[Risk, ...]:
    """The tags of what opens, the gravest first; each address counts for every tag it has."""
    opened = [each.difference for each in comparison.of(OPENS)]
    masks: dict[int, dict[str, Intervals]] = {}
    for mask in {mask for _, mask in TAGS.values()}:
        masks[mask] = {
            space: normal(
                pair for each in opened if each.space == space and each.columns & mask for pair in each.ranges
            )
            for space in (MSR, IO)
        }
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for name, pairs in _msrs(names):
        found.setdefault((name, MSR), []).extend(intersect(pairs, masks[TAGS[name][1]][MSR]))
    for lo, hi in masks[_ANY][IO]:
        for port in range(lo, hi + 1):
            for name in names.port_tags(port):
                if name in TAGS:
                    found.setdefault((name, IO), []).append((port, port))
    out = []
    for name in TAGS:
        for space in (MSR, IO):
            ranges = normal(found.get((name, space), ()))
            if ranges:
                out.append(Risk(name, space, ranges))
    return tuple(out)


def _msrs(names: Tagged) -> Iterable[tuple[str, Intervals]]:
    """Each tag with the indexes of each entry that has it."""
    for _, lo, members, stride, _, _, tags in names.msrs_tagged(*TAGS):
        pairs = normal((each, each) for each in range(lo, lo + members * stride, stride or 1))
        for tag in tags:
            if tag in TAGS:
                yield tag, pairs
