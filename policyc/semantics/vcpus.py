"""Which vCPUs need images of their own: those that some rule tells apart."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from policyc.semantics.policy import VcpuClass
from policyc.vocabulary.access import VCPU_LAST
from policyc.vocabulary.diagnostic import Diagnostic, error
from policyc.vocabulary.intervals import Intervals, contains, normal
from policyc.vocabulary.span import Span

MAX_CLASSES = 256
MAX_VARIANTS = 4096
"""Profiles (and the policy without one) times groups of vCPUs: each has images of its own, some 12 to 33 KB."""
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


def too_many(groups: int, profiles: int, place: Span) -> list[Diagnostic]:
    """E004 where these groups of vCPUs under these profiles are more than have images. place: the rules."""
    helps = ("let several vCPUs share their rules",)
    if groups > MAX_CLASSES:
        return [error("E004", f"the rules tell more than {MAX_CLASSES} groups of vCPUs apart", place, helps=helps)]
    if groups * (profiles + 1) > MAX_VARIANTS:
        said = (
            f"{profiles} profiles, and none, on {groups} groups of vCPUs are more than {MAX_VARIANTS:,} sets of images"
        )
        return [error("E004", said, place, helps=helps)]
    return []


def _name(vcpus: Intervals) -> str:
    return "_".join(str(lo) if lo == hi else f"{lo}-{hi}" for lo, hi in vcpus)
