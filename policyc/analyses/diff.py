"""What a change of policy opens, closes and otherwise changes: compared by meaning, for every access of every variant.

An access is *opened* if it is passed to the hardware as the guest wrote it now and was not before, *closed* in the
reverse case, *changed* where something else becomes of it. What a rule is called, in which order rules stand, how sets
are cut: none of that is a difference.

Port accesses of several bytes are compared as accesses, and told of as ports: a port is listed if it is decided
differently and some access that touches it fares differently. Where no single port explains a difference (one rule with
a constant became two), the accesses are listed by the port they start at.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from policyc.analyses.compare import Link, Pair, Spot, Way
from policyc.semantics.decide import decide_all
from policyc.semantics.policy import STRICTNESS, DecisionMap, Policy, Variant
from policyc.semantics.verdicts import Chain, Judge, Stretch, Verdict, View, views
from policyc.vocabulary.access import COLUMN_WIDTHS, COLUMNS, IO, MSR, MSR_WRITE, PORT_LAST, Access
from policyc.vocabulary.intervals import Intervals, intersect, normal, size, subtract

OPENS, CLOSES, CHANGES = "opens", "closes", "changes"
KINDS = (OPENS, CLOSES, CHANGES)

_RANK = {name: rank for rank, name in enumerate(STRICTNESS)}
_KINDS_OF_ACCESS = ("rdmsr", "wrmsr", "in", "in", "in", "out", "out", "out")


class Side(NamedTuple):
    """One policy with the decisions of its variants."""

    policy: Policy
    maps: Mapping[Variant, DecisionMap]


class Fate(NamedTuple):
    """What one policy makes of an address. links: asked in order, the last without conditions. rules: their numbers,
    DEFAULT_RULE for the default. outside: the target has no bit for the MSR, and the default is that of such MSRs."""

    links: tuple[Link, ...]
    rules: Chain
    outside: bool = False


class Example(NamedTuple):
    """One access that fares differently, and what became of it and becomes of it."""

    access: Access
    old: Verdict
    new: Verdict
    known: bool = True


class Scope(NamedTuple):
    """Where a comparison holds. profile: in the new policy; base: the profile of the old one it is compared with (None
    for the base policy). vcpus: those that are alike in both. target: as which target sees it."""

    profile: str | None
    base: str | None
    vcpus: Intervals
    target: str


class Difference(NamedTuple):
    """Addresses that fare differently in the same way. kind: a member of KINDS. columns: mask. starts: the addresses
    are where accesses start, for no single port explains them. weaker: the new action is the more open one (the first
    example says so; for kind changes)."""

    kind: str
    space: str
    columns: int
    ranges: Intervals
    old: Fate
    new: Fate
    example: Example
    starts: bool = False

    @property
    def weaker(self) -> bool:
        ranks = [_RANK[each.actions[-1].name] for each in (self.example.old, self.example.new)]
        return ranks[1] < ranks[0]

    @property
    def total(self) -> int:
        return size(self.ranges)


class Found(NamedTuple):
    """A difference and every scope in which it holds, in order."""

    difference: Difference
    where: tuple[Scope, ...]


class Comparison(NamedTuple):
    """found: what opens first, then what closes, then what changes; by space and address. scopes: all that were
    compared. added, removed: profiles that only the new or the old policy has."""

    found: tuple[Found, ...]
    scopes: tuple[Scope, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def same(self) -> bool:
        return not (self.found or self.added or self.removed)

    def of(self, kind: str) -> tuple[Found, ...]:
        return tuple(each for each in self.found if each.difference.kind == kind)


def side(policy: Policy) -> Side:
    return Side(policy, decide_all(policy))


def compare(old: Side, new: Side, profiles: Iterable[str | None] | None = None) -> Comparison:
    """Every access of every variant of both.

    A profile is compared with the one of the same name; one that the old policy does not have is compared with the old
    base policy, so that what it opens is seen. profiles: the only ones of the new policy to compare (None: the base).
    """
    ours = [each.name for each in new.policy.profiles]
    theirs = [each.name for each in old.policy.profiles]
    asked = [None, *ours] if profiles is None else list(profiles)
    merged: dict[Difference, list[Scope]] = {}
    compared: list[Scope] = []
    for name in asked:
        base = name if name in theirs else None
        for scope, view, left, right in scopes(old.policy, new.policy, name, base):
            compared.append(scope)
            pair = Pair(
                Judge(old.policy, old.maps[Variant(base, left)], view),
                Judge(new.policy, new.maps[Variant(name, right)], view),
            )
            for each in differences(pair):
                merged.setdefault(each, []).append(scope)
    found = sorted((Found(each, tuple(where)) for each, where in merged.items()), key=_order)
    added = tuple(each for each in ours if each not in theirs and each in asked)
    removed = tuple(each for each in theirs if each not in ours) if profiles is None else ()
    return Comparison(tuple(found), tuple(compared), added, removed)


def differences(pair: Pair) -> list[Difference]:
    """Everything in which one variant of the one policy differs from one of the other."""
    rows: dict[tuple[str, Fate, Fate, bool], dict[int, tuple[list[tuple[int, int]], Example]]] = {}
    for column in COLUMNS:
        collect = _msrs if column <= MSR_WRITE else _ports
        for kind, lo, hi, old, new, example, starts in collect(pair, column):
            ranges, _ = rows.setdefault((kind, old, new, starts), {}).setdefault(column, ([], example))
            ranges.append((lo, hi))
    found: dict[tuple[str, Fate, Fate, bool, Intervals, str], tuple[int, Example]] = {}
    for (kind, old, new, starts), by_column in rows.items():
        for column, (ranges, example) in by_column.items():
            space = MSR if column <= MSR_WRITE else IO
            key = (kind, old, new, starts, normal(ranges), space)
            mask, first = found.get(key, (0, example))
            found[key] = (mask | 1 << column, first)
    return [
        Difference(kind, space, columns, ranges, old, new, example, starts)
        for (kind, old, new, starts, ranges, space), (columns, example) in found.items()
    ]


_Row = tuple[str, int, int, Fate, Fate, Example, bool]


def _msrs(pair: Pair, column: int) -> Iterable[_Row]:
    for place in pair.suspects(column):
        for kind, way in _kinds(pair.ways(place)).items():
            example = _example(column, place.lo, way)
            left, right = (_fate(pair, stretch, column, side) for side, stretch in enumerate((place.left, place.right)))
            yield kind, place.lo, place.hi, left, right, example, False


def _ports(pair: Pair, column: int) -> Iterable[_Row]:
    """Ports whose change shows in some access, then accesses that no port explains."""
    reach = COLUMN_WIDTHS[column] - 1
    rows: dict[str, list[tuple[int, int, Way]]] = {each: [] for each in KINDS}
    for place in pair.suspects(column):
        for kind, way in _kinds(pair.ways(place)).items():
            rows[kind].append((place.lo, place.hi, way))
    accesses = {kind: _Accesses(rows[kind], reach) for kind in KINDS}
    shown: dict[str, list[tuple[int, int]]] = {each: [] for each in KINDS}
    for spot in pair.spots(column):
        left = Fate(pair.links(spot.left, column, False), spot.left)
        right = Fate(pair.links(spot.right, column, True), spot.right)
        rest: Intervals = ((spot.lo, spot.hi),)
        for kind in (*_byte_kinds(pair, spot, column), CHANGES):
            touched = accesses[kind].touched(spot.lo, spot.hi)
            for lo, hi in intersect(rest, touched) if kind == CHANGES else touched:
                shown[kind].append((lo, hi))
                first, way = accesses[kind].touching(lo, hi)
                yield kind, lo, hi, left, right, _example(column, first, way), False
            rest = subtract(rest, touched)
    for kind in KINDS:
        told = shown[kind] if kind != CHANGES else [ports for each in shown.values() for ports in each]
        explained = normal((max(0, lo - reach), hi) for lo, hi in told)
        for first, last in subtract(normal((lo, hi) for lo, hi, _ in rows[kind]), explained):
            for place in pair.places(column, first, last):
                left, right = _fate(pair, place.left, column, 0), _fate(pair, place.right, column, 1)
                way = _kinds(pair.ways(place))[kind]
                yield kind, place.lo, place.hi, left, right, _example(column, place.lo, way), True


class _Accesses:
    """Accesses of one width that differ, by the ports they touch. rows: first and last start port, each with a way in
    which they differ, in order. reach: ports that an access touches beyond its first."""

    def __init__(self, rows: list[tuple[int, int, Way]], reach: int) -> None:
        self.rows = rows
        self.reach = reach
        self.ends = [last for _, last, _ in rows]
        self.ports = normal((first, min(last + reach, PORT_LAST)) for first, last, _ in rows)
        self.tops = [hi for _, hi in self.ports]

    def touched(self, lo: int, hi: int) -> Intervals:
        """Ports of lo..hi that some of them touch."""
        found = []
        for at in range(bisect_left(self.tops, lo), len(self.ports)):
            if self.ports[at][0] > hi:
                break
            found.append((max(lo, self.ports[at][0]), min(hi, self.ports[at][1])))
        return tuple(found)

    def touching(self, lo: int, hi: int) -> tuple[int, Way]:
        """A start port and the way of one that touches a port of lo..hi, which is touched; one that starts there if
        there is one."""
        at = bisect_left(self.ends, lo)
        if at < len(self.rows) and self.rows[at][0] <= hi:
            return max(self.rows[at][0], lo), self.rows[at][2]
        first, last, way = self.rows[at - 1]
        return max(first, min(last, lo)), way


def _kinds(ways: Sequence[Way]) -> dict[str, Way]:
    """How accesses of a place differ, each with the first value for which they do. Other changes are told of only where
    nothing opens or closes."""
    found: dict[str, Way] = {}
    for way in ways:
        if way.differs:
            kind = CHANGES if way.left.passes == way.right.passes else OPENS if way.right.passes else CLOSES
            found.setdefault(kind, way)
    if len(found) > 1:
        found.pop(CHANGES, None)
    return found


def _byte_kinds(pair: Pair, spot: Spot, column: int) -> list[str]:
    """What may happen to a port for some value: opens, closes, both or neither."""
    ways = pair.byte_ways(spot, column)
    opens = any(new.passes and not old.passes for old, new in ways)
    closes = any(old.passes and not new.passes for old, new in ways)
    return [OPENS] * opens + [CLOSES] * closes


def _fate(pair: Pair, stretch: Stretch, column: int, right: int) -> Fate:
    chain = stretch.chains[0]
    return Fate(pair.links(chain, column, bool(right), stretch.outside), chain, stretch.outside)


def _example(column: int, address: int, way: Way) -> Example:
    return Example(access_of(column, address, way.value, way.cpl), way.left, way.right, way.known)


def access_of(column: int, address: int, value: int, cpl: int) -> Access:
    """The access of a column that starts at the address."""
    return Access(_KINDS_OF_ACCESS[column], address, COLUMN_WIDTHS[column], value, cpl)


def _order(found: Found) -> tuple[int, bool, bool, Intervals, int]:
    """What opens first; of changes those to a weaker action first."""
    each = found.difference
    stricter = each.kind == CHANGES and not each.weaker
    return KINDS.index(each.kind), stricter, each.space == IO, each.ranges, each.columns


def scopes(old: Policy, new: Policy, profile: str | None, base: str | None) -> Iterable[tuple[Scope, View, int, int]]:
    """Where two policies are compared under a profile of each: every target of both, every group of vCPUs that both
    treat alike, with its class in either."""
    for left, one in enumerate(old.vcpu_classes):
        for right, other in enumerate(new.vcpu_classes):
            vcpus = intersect(one.vcpus, other.vcpus)
            if vcpus:
                for view in _views(old, new):
                    yield Scope(profile, base, vcpus, view.target), view, left, right


def _views(old: Policy, new: Policy) -> tuple[View, ...]:
    """The targets of both as far as they tell MSRs apart; all of either's where they have none in common."""
    left, right = views(old), views(new)
    common = tuple(each for each in right if any(each.without_bit == other.without_bit for other in left))
    return common or (*left, *right)
