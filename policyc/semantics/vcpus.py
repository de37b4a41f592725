"""Which vCPUs need images of their own: those that some rule tells apart."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from policyc.semantics.policy import VcpuClass
from policyc.vocabulary.access import VCPU_LAST
from policyc.vocabulary.intervals import Intervals, contains, normal

MAX_CLASSES = 64
REST = "rest"


def classes(named: Iterable[Intervals]) -> tuple[VcpuClass, ...]:
    """vCPUs 0..4095 grouped by which of the sets hold them; the class of those in no set comes first, as ``rest``.

    Ends with MAX_CLASSES + 1 of them: they are refused anyway.
    """
    sets = sorted(set(named))
    edges = sorted({0, VCPU_LAST + 1} | {edge for each in sets for lo, hi in each for edge in (lo, hi + 1)})
    groups: dict[tuple[bool, ...], list[tuple[int, int]]] = {}
    for lo, after in pairwise(edges):
        groups.setdefault(tuple(contains(each, lo) for each in sets), []).append((lo, after - 1))
        if len(groups) > MAX_CLASSES:
            break
    found = [(any(key), normal(parts)) for key, parts in groups.items()]
    found.sort(key=lambda each: each)
    return tuple(VcpuClass(_name(vcpus) if is_named else REST, vcpus) for is_named, vcpus in found)


def _name(vcpus: Intervals) -> str:
    return "_".join(str(lo) if lo == hi else f"{lo}-{hi}" for lo, hi in vcpus)
