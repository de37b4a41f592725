"""Interval sets obey the laws of sets: checked over all subsets of a universe of six numbers."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from policyc.vocabulary.intervals import Intervals, contains, intersect, normal, size, subtract, union

UNIVERSE = range(6)
SUBSETS = [frozenset(n for n in UNIVERSE if mask >> n & 1) for mask in range(64)]


def as_intervals(members: frozenset[int]) -> Intervals:
    return normal((n, n) for n in members)


def members(intervals: Intervals) -> frozenset[int]:
    return frozenset(n for lo, hi in intervals for n in range(lo, hi + 1))


def is_normal(intervals: Intervals) -> bool:
    ordered = all(lo <= hi for lo, hi in intervals)
    return ordered and all(a[1] + 1 < b[0] for a, b in pairwise(intervals))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(union, frozenset.union), (intersect, frozenset.intersection), (subtract, frozenset.difference)],
)
def test_operations_are_those_of_sets_and_give_the_normal_form(ours, theirs) -> None:
    for left, right in product(SUBSETS, SUBSETS):
        got = ours(as_intervals(left), as_intervals(right))
        assert members(got) == theirs(left, right)
        assert is_normal(got)


def test_membership_and_size_are_those_of_sets() -> None:
    for subset in SUBSETS:
        intervals = as_intervals(subset)
        assert size(intervals) == len(subset)
        assert {n for n in range(-1, 8) if contains(intervals, n)} == subset


def test_normal_accepts_overlapping_pairs_in_any_order() -> None:
    assert normal([(8, 9), (0, 3), (2, 5), (6, 6)]) == ((0, 6), (8, 9))
