"""Finds rules that meet at an address and should not: one sweep over the addresses of one column.

Never quadratic in the rules: whoever is open at an address is kept by *camp* (what it would do there) and by its
conditions, so that a newcomer asks each camp once, not each rule. Rules that ask for different values of one field
(``value & 0xff == 3``) cannot meet and are not compared at all. The search ends with the limit of findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from policyc.semantics.conditions import bounds, disjoint, subject_bits
from policyc.semantics.policy import Actions, Condition, Rule
from policyc.vocabulary.intervals import Intervals
from policyc.vocabulary.typed import NamedTuple

COMPARISONS = 500_000
"""Questions about conditions that one sweep asks before it gives up; one that ranges cannot answer counts as 25."""

Conditions = tuple[Condition, ...]
Field = tuple[str, int]
"""Subject and mask."""

_CLOSE, _COVER, _OPEN = range(3)
"""Order of events at one address: what ends there is gone before what begins is asked."""


class TooManyConditions(Exception):
    """More conditional rules overlap than can be compared. rule: one of them."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule.number)
        self.rule = rule


class Camp(NamedTuple):
    """What a rule would do (None: let the access pass without an exit), and whose rule it is, where that matters."""

    does: Actions | None
    module: int = 0
    profile: str | None = None


class Member(NamedTuple):
    """A rule and its camp: members of rival camps clash where both apply."""

    rule: Rule
    camp: Camp


class Pair(NamedTuple):
    """Two rules that clash; later has the higher number."""

    earlier: Rule
    later: Rule


class _Bucket:
    """The open rules of one camp with the same conditions."""

    __slots__ = ("open", "order")

    def __init__(self) -> None:
        self.open: dict[int, Rule] = {}
        self.order: list[int] = []

    def add(self, rule: Rule) -> None:
        self.open[rule.number] = rule
        heappush(self.order, rule.number)

    def first(self) -> Rule:
        """The open rule with the lowest number."""
        while self.order[0] not in self.open:
            heappop(self.order)
        return self.open[self.order[0]]


class Search:
    """Clashes among rules. found: by the later rule's number, so that every rule is told once at most."""

    def __init__(self, rivals: Callable[[Camp, Camp], bool], limit: int) -> None:
        self.rivals = rivals
        self.limit = limit
        self.found: dict[int, Pair] = {}

    def sweep(self, members: Iterable[Member], decided: Intervals, column: int) -> None:
        """Adds the clashes at addresses outside ``decided``. Raises TooManyConditions."""
        sweep = _Sweep(self, column)
        events: list[tuple[int, int, int]] = []
        mine = tuple(members)
        for index, member in enumerate(mine):
            for lo, hi in member.rule.ranges:
                events.append((lo, _OPEN, index))
                events.append((hi + 1, _CLOSE, index))
        for lo, hi in decided:
            events.append((lo, _COVER, 1))
            events.append((hi + 1, _COVER, 0))
        events.sort()
        covered = 0
        for at, (position, kind, index) in enumerate(events):
            if kind == _CLOSE:
                sweep.close(mine[index])
            elif kind == _OPEN:
                sweep.open(mine[index])
            else:
                covered = index
            if sweep.fresh and not covered and (at + 1 == len(events) or events[at + 1][0] > position):
                sweep.ask()
                if len(self.found) >= self.limit:
                    return


class _Group:
    """The open rules that ask for one value of one field, or for none: by camp, then by all their conditions."""

    __slots__ = ("camps",)

    def __init__(self) -> None:
        self.camps: dict[Camp, dict[Conditions, _Bucket]] = {}


class _Sweep:
    """What is open at the present address. fresh: members that were opened but not yet compared with the others."""

    def __init__(self, search: Search, column: int) -> None:
        self.search = search
        self.column = column
        self.fields: dict[Field | None, dict[int, _Group]] = {}
        self.fresh: list[Member] = []
        self.known: dict[tuple[Conditions, Conditions], bool] = {}
        self.ranges: dict[Conditions, dict[Field, tuple[int, int]]] = {}
        self.asked = 0

    def open(self, member: Member) -> None:
        field, value = _field(member.rule)
        group = self.fields.setdefault(field, {}).setdefault(value, _Group())
        group.camps.setdefault(member.camp, {}).setdefault(member.rule.conditions, _Bucket()).add(member.rule)
        self.fresh.append(member)

    def close(self, member: Member) -> None:
        field, value = _field(member.rule)
        groups = self.fields[field]
        camps = groups[value].camps
        bucket = camps[member.camp][member.rule.conditions]
        del bucket.open[member.rule.number]
        if bucket.open:
            return
        del camps[member.camp][member.rule.conditions]
        if not camps[member.camp]:
            del camps[member.camp]
        if not camps:
            del groups[value]

    def ask(self) -> None:
        """Compares the fresh members that are still open."""
        fresh, self.fresh = self.fresh, []
        for member in fresh:
            field, value = _field(member.rule)
            group = self.fields[field].get(value)
            bucket = None if group is None else group.camps.get(member.camp, {}).get(member.rule.conditions)
            if bucket is not None and member.rule.number in bucket.open:
                self.compare(member)
                if len(self.search.found) >= self.search.limit:
                    return

    def compare(self, member: Member) -> None:
        """One member with every rival camp; ends at the first clash in which it is the later rule."""
        mine, value = _field(member.rule)
        for field, groups in self.fields.items():
            if field is not None and field == mine:
                near = [groups[value]] if value in groups else []
            else:
                near = list(groups.values())
            for group in near:
                self.asked += field is not None
                if self.clash(member, group):
                    return

    def clash(self, member: Member, group: _Group) -> bool:
        """Adds the member's clashes with a group; True once there is nothing more to learn about the member."""
        found, limit = self.search.found, self.search.limit
        for camp, buckets in group.camps.items():
            if camp == member.camp or not self.search.rivals(member.camp, camp):
                continue
            for conditions, bucket in buckets.items():
                if self.apart(member.rule, conditions):
                    continue
                first = bucket.first()
                if first.number < member.rule.number:
                    found.setdefault(member.rule.number, Pair(first, member.rule))
                    return True
                for other in bucket.open.values():
                    found.setdefault(other.number, Pair(member.rule, other))
                    if len(found) >= limit:
                        return True
        return False

    def apart(self, rule: Rule, conditions: Conditions) -> bool:
        """Whether the rule's conditions and these never hold together."""
        mine = rule.conditions
        if not mine or not conditions:
            return False
        self.asked += 1
        if self.asked >= COMPARISONS:
            raise TooManyConditions(rule)
        theirs = self.bounds(conditions)
        for field, (lo, hi) in self.bounds(mine).items():
            low, high = theirs.get(field, (lo, hi))
            if max(lo, low) > min(hi, high):
                return True
        key = (mine, conditions)
        known = self.known.get(key)
        if known is None:
            self.asked += 24
            known = self.known[key] = disjoint(mine, conditions, self.column)
        return known

    def bounds(self, conditions: Conditions) -> dict[Field, tuple[int, int]]:
        """For every field that the conditions ask about, the least and the greatest value they may all accept."""
        known = self.ranges.get(conditions)
        if known is None:
            known = self.ranges[conditions] = {}
            for each in conditions:
                lo, hi = bounds(each, subject_bits(each, self.column))
                low, high = known.get(each[:2], (lo, hi))
                known[each[:2]] = max(lo, low), min(hi, high)
        return known


def _field(rule: Rule) -> tuple[Field | None, int]:
    """The field that the rule's first equality asks about and the value it wants; None where it has no equality."""
    for each in rule.conditions:
        if each.op == "==":
            return (each.subject, each.mask), each.operand
    return None, 0
