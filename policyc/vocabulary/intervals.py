"""Sets of integers as sorted tuples of inclusive, disjoint, non-adjacent ``(lo, hi)`` pairs.

Laws (held by tests/vocabulary/test_intervals.py over all subsets of a small universe): every function returns the
normal form; union, intersect and subtract are those of sets. All cost O(n log n) or better in the number of pairs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

Interval = tuple[int, int]
Intervals = tuple[Interval, ...]

EMPTY: Intervals = ()


def normal(pairs: Iterable[Interval]) -> Intervals:
    """The normal form of any pairs with lo <= hi, in any order, overlapping or not."""
    ordered = sorted(pairs)
    if not ordered:
        return EMPTY
    out: list[Interval] = []
    lo, hi = ordered[0]
    for a, b in ordered:
        if a <= hi + 1:
            if b > hi:
                hi = b
        else:
            out.append((lo, hi))
            lo, hi = a, b
    out.append((lo, hi))
    return tuple(out)


def union(*sets: Intervals) -> Intervals:
    """Members of any of the sets."""
    return normal(pair for each in sets for pair in each)


def intersect(left: Intervals, right: Intervals) -> Intervals:
    """Members of both. What lies before the other's first member is passed over in O(log n)."""
    out: list[Interval] = []
    i = j = 0
    if left and right:
        i = max(0, bisect_right(left, (right[0][0],)) - 1)
        j = max(0, bisect_right(right, (left[0][0],)) - 1)
    while i < len(left) and j < len(right):
        lo, hi = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if lo <= hi:
            out.append((lo, hi))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(out)


def subtract(left: Intervals, right: Intervals) -> Intervals:
    """Members of left that are not in right."""
    out: list[Interval] = []
    j = 0
    for lo, hi in left:
        while j < len(right) and right[j][1] < lo:
            j += 1
        k, at = j, lo
        while k < len(right) and right[k][0] <= hi:
            if right[k][0] > at:
                out.append((at, right[k][0] - 1))
            at = max(at, right[k][1] + 1)
            k += 1
        if at <= hi:
            out.append((at, hi))
    return tuple(out)


def contains(intervals: Intervals, value: int) -> bool:
    """Whether value is a member. O(log n)."""
    lo, hi = 0, len(intervals)
    while lo < hi:
        mid = (lo + hi) // 2
        if intervals[mid][1] < value:
            lo = mid + 1
        else:
            hi = mid
    return lo < len(intervals) and intervals[lo][0] <= value


def size(intervals: Intervals) -> int:
    """Number of members."""
    return sum(hi - lo + 1 for lo, hi in intervals)
