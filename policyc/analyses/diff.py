"""What a change of policy opens, closes and otherwise changes: compared by meaning, for every access of every variant.

An access is *opened* if it is passed to the hardware as the guest wrote it now and was not before, *closed* in the
reverse case, *changed* where something else becomes of it. What a rule is called, in which order rules stand, how sets
are cut: none of that is a difference.

Port accesses of several bytes are compared as accesses, and told of as ports: a port is listed if it is decided
differently and some access that touches it fares differently. Where no single port explains a difference (one rule with
a constant became two), the accesses are listed by the port they start at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from policyc.analyses.compare import Link, Pair, Spot, Way
from policyc.semantics.decide import decide, variants
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
    return Side(policy, {each: decide(policy, each) for each in variants(policy)})


def compare(old: Side, new: Side, profiles: Iterable[str | None] | None = None) -> Comparison:
    """Every access of every variant of both.

    A profile is compared with the one of the same name; one that the old policy does not have is compared with the old
    base policy, so that what it opens is seen. profiles: the only ones of the new policy to compare (None: the base).
    """
    ours = [each.name for each in new.policy.profiles]
    theirs = [each.name for each in old.policy.profiles]
    asked = [None, *ours] if profiles is None else list(profiles)
    merged: dict[Difference, list[Scope]] = {}
    scopes: list[Scope] = []
    for name in asked:
        base = name if name in theirs else None
        for vcpus, left, right in _classes(old.policy, new.policy):
            for view in _views(old.policy, new.policy):
                scope = Scope(name, base, vcpus, view.target)
                scopes.append(scope)
                pair = Pair(
                    Judge(old.policy, old.maps[Variant(base, left)], view),
                    Judge(new.policy, new.maps[Variant(name, right)], view),
                )
                for each in differences(pair):
                    merged.setdefault(each, []).append(scope)
    found = sorted((Found(each, tuple(where)) for each, where in merged.items()), key=_order)
    added = tuple(each for each in ours if each not in theirs and each in asked)
    removed = tuple(each for each in theirs if each not in ours) if profiles is None else ()
    return Comparison(tuple(found), tuple(scopes), added, removed)


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
    starts: dict[str, list[tuple[int, int]]] = {each: [] for each in KINDS}
    examples: dict[str, list[tuple[int, int, Way]]] = {each: [] for each in KINDS}
    for place in pair.suspects(column):
        for kind, way in _kinds(pair.ways(place)).items():
            starts[kind].append((place.lo, place.hi))
            examples[kind].append((place.lo, place.hi, way))
    shown: dict[str, list[tuple[int, int]]] = {each: [] for each in KINDS}
    reached = {kind: normal((lo, min(hi + reach, PORT_LAST)) for lo, hi in starts[kind]) for kind in KINDS}
    for spot in pair.spots(column):
        left = Fate(pair.links(spot.left, column, False), spot.left)
        right = Fate(pair.links(spot.right, column, True), spot.right)
        rest: Intervals = ((spot.lo, spot.hi),)
        for kind in (*_byte_kinds(pair, spot, column), CHANGES):
            for lo, hi in intersect(rest if kind == CHANGES else ((spot.lo, spot.hi),), reached[kind]):
                shown[kind].append((lo, hi))
                first, way = _touching(examples[kind], lo, hi, reach)
                yield kind, lo, hi, left, right, _example(column, first, way), False
            rest = subtract(rest, reached[kind])
    for kind in KINDS:
        told = shown[kind] if kind != CHANGES else [pair for each in shown.values() for pair in each]
        explained = normal((max(0, lo - reach), hi) for lo, hi in told)
        for lo, hi, way in examples[kind]:
            for first, last in subtract(((lo, hi),), explained):
                (place, *_) = pair.places(column, first, first)
                left, right = _fate(pair, place.left, column, 0), _fate(pair, place.right, column, 1)
                yield kind, first, last, left, right, _example(column, first, way), True


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


def _touching(examples: Sequence[tuple[int, int, Way]], lo: int, hi: int, reach: int) -> tuple[int, Way]:
    """A start port and a way of an access that touches some port of lo..hi, if possible one that starts there."""
    for first, last, way in examples:
        if first <= hi and last >= lo:
            return max(first, lo), way
    for first, last, way in examples:
        if first <= hi and last + reach >= lo:
            return max(first, lo - reach), way
    raise AssertionError(f"no access that differs touches {lo:#x}..{hi:#x}")


def _fate(pair: Pair, stretch: Stretch, column: int, right: int) -> Fate:
    chain = stretch.chains[0]
    return Fate(pair.links(chain, column, bool(right), stretch.outside), chain, stretch.outside)


def _example(column: int, address: int, way: Way) -> Example:
    kind, width = _KINDS_OF_ACCESS[column], COLUMN_WIDTHS[column]
    return Example(Access(kind, address, width, way.value, way.cpl), way.left, way.right, way.known)


def _order(found: Found) -> tuple[int, bool, bool, Intervals, int]:
    """What opens first; of changes those to a weaker action first."""
    each = found.difference
    stricter = each.kind == CHANGES and not each.weaker
    return KINDS.index(each.kind), stricter, each.space == IO, each.ranges, each.columns


def _classes(old: Policy, new: Policy) -> Iterable[tuple[Intervals, int, int]]:
    """Groups of vCPUs that both policies treat alike, with their class in either."""
    for left, one in enumerate(old.vcpu_classes):
        for right, other in enumerate(new.vcpu_classes):
            both = intersect(one.vcpus, other.vcpus)
            if both:
                yield both, left, right


def _views(old: Policy, new: Policy) -> tuple[View, ...]:
    """The targets of both as far as they tell MSRs apart; all of either's where they have none in common."""
    left, right = views(old), views(new)
    common = tuple(each for each in right if any(each.without_bit == other.without_bit for other in left))
    return common or (*left, *right)
