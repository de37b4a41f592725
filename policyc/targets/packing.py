"""The fewest KVM filter ranges that say what a policy says.

A filter is a default and a list of ranges; a range has a span of at most 0x3000 MSRs, a bitmap, and serves reads,
writes or both; the first range that covers the MSR and serves the direction decides. Seen from one MSR, only an access
that differs from the default (an *exception*) needs ranges, and what it needs depends on which directions differ:

    read only    a read range,  or a range for both and, before it, a write range that restores the default
    write only   a write range, or a range for both and, before it, a read range that restores the default
    both         a range for both, or a read range and a write range

Ranges for one direction are therefore put before those for both; then no further order matters, and more cover never
hurts. Hence a smallest packing exists in which every range starts at an exception that would fail without it: any other
range can be moved up to its next such exception, because it only gains MSRs there. The search below walks over the
exceptions in order, opens at each one that fails one of its two remedies, and keeps, of the packings that reach the
same place, those that no other beats in both number and reach. So it finds the minimum (tests/targets/test_packing.py
compares it with every packing there is, over all policies of a small universe).
"""

from __future__ import annotations

from collections.abc import Iterator

from policyc.architecture.kvm import KVM_MSR_FILTER_READ, KVM_MSR_FILTER_WRITE, MAX_NMSRS
from policyc.vocabulary.access import MSR_LAST
from policyc.vocabulary.intervals import Interval, Intervals, intersect, normal, subtract, union
from policyc.vocabulary.typed import NamedTuple

LAST_IN_RANGE = MSR_LAST - 1
"""The kernel keeps base + nmsrs in 32 bits, so a range that would hold MSR 0xffffffff ends at 0 and matches nothing."""

_READ, _WRITE, _BOTH = 0, 1, 2
"""Kinds of range, and their place in _State.ends. Ranges are written in this order."""
_FLAGS = (KVM_MSR_FILTER_READ, KVM_MSR_FILTER_WRITE, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE)
_REMEDIES = {
    KVM_MSR_FILTER_READ: ((_READ,), (_BOTH, _WRITE)),
    KVM_MSR_FILTER_WRITE: ((_WRITE,), (_BOTH, _READ)),
    KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE: ((_BOTH,), (_READ, _WRITE)),
}
"""By directions that differ from the default: the sets of ranges that serve such an MSR."""


class Range(NamedTuple):
    """MSRs lo..hi (at most 0x3000), for the directions in flags; denied: the MSRs among them whose bit is 0."""

    flags: int
    lo: int
    hi: int
    denied: Intervals


class Packing(NamedTuple):
    """ranges: in the order the kernel must walk them. stopped: the first MSR that found no range within the limit,
    None where all are served; the ranges then reach up to it."""

    ranges: tuple[Range, ...]
    stopped: int | None


class _State(NamedTuple):
    """ends: last MSR of the newest range of each kind, -1 for none. opened: (kind, first MSR), newest first, as a
    linked list."""

    ends: tuple[int, int, int]
    used: int
    opened: _Opened | None


class _Opened(NamedTuple):
    kind: int
    lo: int
    before: _Opened | None


def pack(read: Intervals, write: Intervals, deny: bool, limit: int, widest: int = MAX_NMSRS) -> Packing:
    """The fewest ranges, at most limit, that deny reads of ``read`` and writes of ``write`` under a default.

    deny: the filter's default. Both sets must agree with it at MSR 0xffffffff, which no range reaches (ValueError).
    widest: MSRs that one range may span.
    """
    whole = ((0, MSR_LAST),)
    reads, writes = (subtract(whole, read), subtract(whole, write)) if deny else (read, write)
    if any(each and each[-1][1] > LAST_IN_RANGE for each in (reads, writes)):
        raise ValueError("no range reaches MSR 0xffffffff")
    both, only_read, only_write = intersect(reads, writes), subtract(reads, writes), subtract(writes, reads)
    states = [_State((-1, -1, -1), 0, None)]
    stopped = None
    for lo, hi, directions in _pieces(only_read, only_write, both, widest):
        if all(_reach(state.ends, directions) >= hi for state in states):
            continue
        states, failed = _serve(states, lo, hi, directions, limit, widest)
        if not states:
            state, stopped = max(failed, key=lambda each: each[1])
            states = [state]
            break
    spans = _spans(states[0], widest)
    _trim(spans, only_read, only_write, both)
    return Packing(_ranges(spans, read, write), stopped)


def _pieces(
    only_read: Intervals, only_write: Intervals, both: Intervals, widest: int
) -> Iterator[tuple[int, int, int]]:
    """The exceptions in order as (lo, hi, directions), none longer than widest."""
    tagged = sorted(
        (lo, hi, flags) for flags, part in zip(_FLAGS, (only_read, only_write, both), strict=True) for lo, hi in part
    )
    for lo, hi, directions in tagged:
        for at in range(lo, hi + 1, widest):
            yield at, min(hi, at + widest - 1), directions


def _serve(
    states: list[_State], lo: int, hi: int, directions: int, limit: int, widest: int
) -> tuple[list[_State], list[tuple[_State, int]]]:
    """Every best way to serve MSRs lo..hi from each of the states, and where each failing one stopped."""
    done: list[_State] = []
    failed: list[tuple[_State, int]] = []
    pending = [(state, lo) for state in reversed(states)]
    while pending:
        state, at = pending.pop()
        ends = state.ends
        reach = _reach(ends, directions)
        if reach >= hi:
            done.append(state)
            continue
        at = max(at, reach + 1)
        for remedy in reversed(_REMEDIES[directions]):
            after = state
            for kind in remedy:
                if ends[kind] < at:
                    longer = list(after.ends)
                    longer[kind] = min(at + widest - 1, LAST_IN_RANGE)
                    after = _State((longer[0], longer[1], longer[2]), after.used + 1, _Opened(kind, at, after.opened))
            if after.used > limit:
                failed.append((state, at))
            else:
                pending.append((after, at))
    return (_best(done, hi) if len(done) > 1 else done), failed


def _reach(ends: tuple[int, int, int], directions: int) -> int:
    """The MSR up to which exceptions of these directions are served: by the better of the two remedies."""
    read, write, each = ends
    if directions == KVM_MSR_FILTER_READ:
        return max(read, min(each, write))
    if directions == KVM_MSR_FILTER_WRITE:
        return max(write, min(each, read))
    return max(each, min(read, write))


def _best(states: list[_State], at: int) -> list[_State]:
    """Those that no other equals or beats in number and in reach past at; of equal ones the first found."""
    kept: list[_State] = []
    for state in sorted(states, key=lambda each: each.used):
        reach = [max(end, at) for end in state.ends]
        if not any(all(max(a, at) >= b for a, b in zip(each.ends, reach, strict=True)) for each in kept):
            kept.append(state)
    return kept


def _spans(state: _State, widest: int) -> list[list[Interval]]:
    """The spans of each kind, in order."""
    spans: list[list[Interval]] = [[], [], []]
    each = state.opened
    while each is not None:
        spans[each.kind].append((each.lo, min(each.lo + widest - 1, LAST_IN_RANGE)))
        each = each.before
    for some in spans:
        some.reverse()
    return spans


def _trim(spans: list[list[Interval]], only_read: Intervals, only_write: Intervals, both: Intervals) -> None:
    """Cut each span down to the exceptions that would fail without it."""
    for kind in (_READ, _WRITE, _BOTH):
        read, write, each = (normal(some) for some in spans)
        if kind == _READ:
            needed = (subtract(only_read, intersect(each, write)), subtract(only_write, write), subtract(both, each))
        elif kind == _WRITE:
            needed = (subtract(only_write, intersect(each, read)), subtract(only_read, read), subtract(both, each))
        else:
            needed = (subtract(only_read, read), subtract(only_write, write), subtract(both, intersect(read, write)))
        wanted = union(*needed)
        parts = (intersect((span,), wanted) for span in spans[kind])
        spans[kind] = [(part[0][0], part[-1][1]) for part in parts if part]


def _ranges(spans: list[list[Interval]], read: Intervals, write: Intervals) -> tuple[Range, ...]:
    # Where a one-way range has spoken before, the range for both only speaks for the other direction.
    rest = union(subtract(read, normal(spans[_READ])), subtract(write, normal(spans[_WRITE])))
    denied = (read, write, rest)
    return tuple(
        Range(_FLAGS[kind], lo, hi, intersect(((lo, hi),), denied[kind]))
        for kind in (_READ, _WRITE, _BOTH)
        for lo, hi in spans[kind]
    )
