"""Two policies side by side: every access of which they may make something different, found by intervals.

Exact, and quick where the policies are alike: first the runs of addresses are walked in step, and only where the chains
of rules differ *in meaning* (their conditions, actions and whether they trap, never their numbers) are single accesses
looked at. Conditions of both policies are decided together, so a chain is compared for every value at every privilege
level at once.

A port access of several bytes is decided by all of its bytes. Its verdict can differ only where one of its bytes is
decided differently, or where an action that needs every byte from one rule (const, mask, shadow) meets a border of rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from policyc.semantics.policy import DEFAULT_RULE, Actions, Condition, Run
from policyc.semantics.verdicts import Chain, Judge, Stretch, Verdict
from policyc.semantics.witness import cases
from policyc.vocabulary.access import COLUMN_WIDTHS, MSR_LAST, MSR_WRITE, OUT1, PORT_LAST
from policyc.vocabulary.intervals import Intervals, contains, normal, subtract

_NEED_EVERY_BYTE = frozenset(("const", "mask", "shadow"))


class Link(NamedTuple):
    """What one link of a chain says, whatever its number is."""

    conditions: tuple[Condition, ...]
    traps: bool
    actions: Actions

    @property
    def passes(self) -> bool:
        """Whether the address reaches the hardware as the guest wrote it."""
        return not self.traps or self.actions[-1].name == "passthrough"


class Spot(NamedTuple):
    """Addresses lo..hi (single bytes, of ports) that the two policies may decide differently. outside: MSRs for which
    the target has no bit."""

    lo: int
    hi: int
    left: Chain
    right: Chain
    outside: bool = False


class Place(NamedTuple):
    """Accesses of a column that start at lo..hi, each policy deciding all of them alike."""

    column: int
    lo: int
    hi: int
    left: Stretch
    right: Stretch


class Way(NamedTuple):
    """What both policies make of an access with this value at this cpl, and of all that meet the same conditions.

    known: False where there are too many conditions to tell whether any access gets here.
    """

    value: int
    cpl: int
    left: Verdict
    right: Verdict
    known: bool = True

    @property
    def differs(self) -> bool:
        return (self.left.intercepted, self.left.actions) != (self.right.intercepted, self.right.actions)


class Pair:
    """One variant of each policy, both as the same target sees them."""

    def __init__(self, left: Judge, right: Judge) -> None:
        self.left = left
        self.right = right
        self._walked: dict[tuple[int, int, bool], list[Spot]] = {}
        self._interned: dict[Link, int] = {}
        self._said: dict[tuple[bool, bool, bool], list[int]] = {}
        self._meant: dict[tuple[bool, Chain, bool, bool], tuple[Link, ...]] = {}
        self._ways: dict[tuple[object, ...], tuple[Way, ...]] = {}
        self._byte_ways: dict[tuple[Chain, Chain, bool, bool, int], tuple[tuple[Link, Link], ...]] = {}

    def suspects(self, column: int) -> Iterator[Place]:
        """Where the verdicts may differ, in order of address; on all other accesses of the column they are equal."""
        for lo, hi in self._starts(column):
            yield from self.places(column, lo, hi)

    def passing(self, column: int) -> Iterator[Place]:
        """Where both policies may pass an access; on all other accesses of the column one of them does not."""
        reach = 0 if column <= MSR_WRITE else COLUMN_WIDTHS[column] - 1
        last = MSR_LAST if column <= MSR_WRITE else PORT_LAST
        starts: Intervals = ((0, last - reach),)
        for judge in (self.left, self.right):
            stopped = [not _link(judge, link, column, False).passes for link in range(len(judge.policy.rules))]
            stopped.append(not _link(judge, DEFAULT_RULE, column, False).passes)
            closed = [
                (max(0, run.lo - reach), run.hi)
                for run in judge.decisions.columns[column]
                if all(stopped[link] for link in run.chain)
            ]
            starts = subtract(starts, normal(closed))
        for lo, hi in starts:
            yield from self.places(column, lo, hi)

    def places(self, column: int, lo: int, hi: int) -> Iterator[Place]:
        """The accesses that start at lo..hi, cut where either policy changes."""
        lefts, rights = self.left.stretches(column, lo, hi), self.right.stretches(column, lo, hi)
        left, right, at = next(lefts), next(rights), lo
        while True:
            end = min(left.hi, right.hi)
            yield Place(column, at, end, left, right)
            if end == hi:
                return
            at = end + 1
            left = next(lefts) if left.hi == end else left
            right = next(rights) if right.hi == end else right

    def ways(self, place: Place) -> tuple[Way, ...]:
        """All that accesses of a place may meet in both policies, the smallest value first; at least one."""
        column, left, right = place.column, place.left, place.right
        key = (column, left.chains, left.outside, right.chains, right.outside)
        if key not in self._ways:
            self._ways[key] = tuple(self._all(column, left, right))
        return self._ways[key]

    def spots(self, column: int) -> list[Spot]:
        """Addresses that the two decide differently for some value, byte by byte for ports."""
        return [each for each in self._unlike(column) if self._byte_differs(each, column)]

    def links(self, chain: Chain, column: int, right: bool, outside: bool = False) -> tuple[Link, ...]:
        """What the links of a chain of either policy say; outside: for an MSR that always exits."""
        key = (column <= MSR_WRITE, chain, right, outside)
        if key not in self._meant:
            judge = self.right if right else self.left
            self._meant[key] = tuple(_link(judge, number, column, outside) for number in chain)
        return self._meant[key]

    def byte_ways(self, spot: Spot, column: int) -> tuple[tuple[Link, Link], ...]:
        """The links that decide one address of the spot, for every way the conditions of both may turn out."""
        key = (spot.left, spot.right, spot.outside, column <= MSR_WRITE, _bits(column))
        if key not in self._byte_ways:
            left = self.links(spot.left, column, False, spot.outside)
            right = self.links(spot.right, column, True, spot.outside)
            conditions = [each for link in (*left, *right) for each in link.conditions]
            found = cases(conditions, _bits(column)) if conditions else []
            if not conditions:
                self._byte_ways[key] = ((left[0], right[0]),)
            elif found is None:
                self._byte_ways[key] = tuple((one, other) for one in left for other in right)
            else:
                self._byte_ways[key] = tuple(
                    (_decider(left, case.truth), _decider(right, case.truth)) for case in found
                )
        return self._byte_ways[key]

    def _byte_differs(self, spot: Spot, column: int) -> bool:
        return any(one[1:] != other[1:] for one, other in self.byte_ways(spot, column))

    def _starts(self, column: int) -> Intervals:
        """First addresses of all accesses that may differ."""
        found = [(each.lo, each.hi) for each in self.spots(column)]
        if column <= MSR_WRITE:
            return normal(found)
        reach = COLUMN_WIDTHS[column] - 1
        if reach:
            found += [(edge, edge - 1) for edge in self._seams(column)]
        return normal((max(0, lo - reach), min(hi, PORT_LAST)) for lo, hi in found)

    def _seams(self, column: int) -> list[int]:
        """Ports at which a rule with an action that needs every byte begins or has just ended, in either policy."""
        found = []
        for judge in (self.left, self.right):
            # DEFAULT_RULE is -1, so the default stands last.
            needs = [rule.actions[-1].name in _NEED_EVERY_BYTE for rule in judge.policy.rules] + [False]
            if not any(needs):
                continue
            before = False
            for run in judge.decisions.columns[column]:
                now = any(needs[link] for link in run.chain)
                if run.lo and (now or before):
                    found.append(run.lo)
                before = now
        return found

    def _unlike(self, column: int) -> list[Spot]:
        """Where the chains do not say the same word for word; columns with common runs share the work."""
        left, right = self.left.decisions.columns[column], self.right.decisions.columns[column]
        key = (id(left), id(right), column <= MSR_WRITE)
        if key not in self._walked:
            without_bit = self.left.view.without_bit if column <= MSR_WRITE else ()
            self._walked[key] = list(self._in_step(column, left, right, without_bit))
        return self._walked[key]

    def _in_step(
        self, column: int, left: Sequence[Run], right: Sequence[Run], without_bit: Intervals
    ) -> Iterator[Spot]:
        """Both maps of one column cut into pieces on which neither changes, and where MSRs begin or cease to have a
        bit; of these the pieces with chains that say different things."""
        edges = iter(sorted({edge for lo, hi in without_bit for edge in (lo - 1, hi)}))
        edge = -1
        i = j = at = 0
        outside = False
        ours, theirs = self._numbers(column, False, outside), self._numbers(column, True, outside)
        while i < len(left) and j < len(right):
            if edge < at:
                while edge < at:
                    edge = next(edges, MSR_LAST)
                outside = contains(without_bit, at)
                ours, theirs = self._numbers(column, False, outside), self._numbers(column, True, outside)
            one, other = left[i], right[j]
            end = min(one.hi, other.hi, edge)
            first, second = one.chain, other.chain
            if ours[first[0]] != theirs[second[0]] or (
                (len(first) > 1 or len(second) > 1)
                and [ours[link] for link in first] != [theirs[link] for link in second]
            ):
                yield Spot(at, end, first, second, outside)
            at = end + 1
            i += one.hi == end
            j += other.hi == end

    def _numbers(self, column: int, right: bool, outside: bool) -> list[int]:
        """What each rule of a policy, and last its default, says: as a number, equal where they say the same."""
        key = (column <= MSR_WRITE, right, outside)
        if key not in self._said:
            judge = self.right if right else self.left
            every = [*range(len(judge.policy.rules)), DEFAULT_RULE]
            links = (_link(judge, number, column, outside) for number in every)
            self._said[key] = [self._interned.setdefault(link, len(self._interned)) for link in links]
        return self._said[key]

    def _all(self, column: int, left: Stretch, right: Stretch) -> Iterator[Way]:
        conditions = [*self.left.conditions(left), *self.right.conditions(right)]
        if not conditions:
            yield Way(0, 0, self.left.combine(left, column, {}), self.right.combine(right, column, {}))
            return
        found = cases(conditions, _bits(column))
        if found is None:
            for one in self.left.verdicts(left, column):
                for other in self.right.verdicts(right, column):
                    yield Way(one.value, one.cpl, one, other, False)
            return
        for case in found:
            one, other = self.left.combine(left, column, case.truth), self.right.combine(right, column, case.truth)
            yield Way(case.value, case.cpl, one, other)


def _bits(column: int) -> int:
    """Bits of the value that an access of the column carries into the policy."""
    return 8 * COLUMN_WIDTHS[column] if column == MSR_WRITE or column >= OUT1 else 0


def _decider(links: Sequence[Link], truth: dict[Condition, bool]) -> Link:
    return next(link for link in links if all(truth[each] for each in link.conditions))


def _link(judge: Judge, number: int, column: int, outside: bool) -> Link:
    if number == DEFAULT_RULE:
        actions = judge.decisions.defaults.outside if outside else judge.actions(number, column)
        return Link((), outside or judge.traps(number, column), actions)
    rule = judge.policy.rules[number]
    return Link(rule.conditions, outside or rule.traps, rule.actions)
