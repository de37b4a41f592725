"""Fast decisions: one sweep over the rules' ranges gives, for every column, the runs of addresses decided alike.

The law is in the docstring of ``policyc.semantics.policy``. Here it is turned into one number per rule, its *key*:
the lower, the earlier the rule is asked. Most significant first, a key holds the layer (highest first; each profile of
a lineage is a layer of its own), the place inside the layer (conditional allow, allow, conditional trap, trap) and the
rule's number. The chain of an address is then the active keys in order, up to the first unconditional one.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

from policyc.semantics.policy import (
    DEFAULT_RULE,
    LAYER_IMPORT,
    LAYER_MAIN,
    LAYER_OVERRIDE,
    LAYER_PROFILE,
    DecisionMap,
    Defaults,
    Policy,
    Profile,
    Rule,
    Run,
    Variant,
)
from policyc.vocabulary.access import COLUMNS, IO, MSR, MSR_LAST, PORT_LAST, column_space
from policyc.vocabulary.intervals import contains

Stretch = tuple[int, int, int]
"""Addresses lo..hi where the rule with this key applies."""

Rows = dict[tuple[str, int], list[Stretch]]
"""Stretches by space and mask of columns."""
Ranks = dict[tuple[int, str | None], int]
"""The height of each layer of a variant, by layer and profile."""

_UNCONDITIONAL, _TRAP = 1, 2
"""Bits of the place inside a layer."""


def variants(policy: Policy) -> tuple[Variant, ...]:
    """Every variant: the base policy, then the profiles in source order, each on every vCPU class (0 is ``rest``)."""
    names = (None, *(profile.name for profile in policy.profiles))
    return tuple(Variant(name, index) for name in names for index in range(len(policy.vcpu_classes)))


def selected(policy: Policy, name: str | None) -> Profile | None:
    """The profile of that name, None for the base policy. Raises KeyError for a name the policy does not have."""
    if name is None:
        return None
    for profile in policy.profiles:
        if profile.name == name:
            return profile
    raise KeyError(name)


def defaults_of(policy: Policy, name: str | None) -> Defaults:
    """The defaults in force under a profile (None: the base policy). Raises KeyError for an unknown name."""
    profile = selected(policy, name)
    return policy.defaults if profile is None else profile.defaults


def decide(policy: Policy, variant: Variant) -> DecisionMap:
    """Which rules decide each address of each column in one variant.

    O(n log n) in the ranges of all rules, times the longest chain of conditional rules that overlap. Columns that no
    rule tells apart share one tuple of runs. Raises KeyError for an unknown profile, IndexError for a class.
    """
    rows = _rows(policy, _in_force(policy, policy.rules, variant), layer_ranks(policy, variant.profile))
    return DecisionMap(variant, defaults_of(policy, variant.profile), _columns(rows, max(1, len(policy.rules))))


def _columns(rows: Rows, total: int) -> tuple[tuple[Run, ...], ...]:
    """The runs of every column. total: of rules in the policy, at least 1."""
    masks = {(space, columns) for space, columns in rows}
    swept: dict[tuple[str, frozenset[int]], tuple[Run, ...]] = {}
    out = []
    for column in COLUMNS:
        space = column_space(column)
        mine = frozenset(columns for where, columns in masks if where == space and columns >> column & 1)
        if (space, mine) not in swept:
            stretches = [stretch for columns in mine for stretch in rows[space, columns]]
            stretches.sort()
            swept[space, mine] = _sweep(stretches, total, MSR_LAST if space == MSR else PORT_LAST)
        out.append(swept[space, mine])
    return tuple(out)


def layer_ranks(policy: Policy, profile: str | None) -> Ranks:
    """Height of each layer of a variant: (layer, profile or None) -> 0.. upwards; what is missing does not apply."""
    chosen = selected(policy, profile)
    lineage = () if chosen is None else chosen.lineage
    ranks: dict[tuple[int, str | None], int] = {(LAYER_IMPORT, None): 0, (LAYER_MAIN, None): 1}
    top = 2 + len(lineage)
    ranks[LAYER_OVERRIDE, None] = top
    for position, name in enumerate(lineage):
        ranks[LAYER_PROFILE, name] = 2 + position
        ranks[LAYER_OVERRIDE, name] = top
    return ranks


def _in_force(policy: Policy, rules: Iterable[Rule], variant: Variant) -> Iterator[Rule]:
    """Those of the rules that apply in a variant, in their order."""
    chosen = selected(policy, variant.profile)
    profiles = {None} if chosen is None else {None, *chosen.lineage}
    vcpus = policy.vcpu_classes[variant.vcpu_class].vcpus
    first = vcpus[0][0] if vcpus else -1
    for rule in rules:
        # A class is an atom: a rule covers all of its vCPUs or none, so one of them speaks for it.
        if rule.profile in profiles and (rule.vcpus is None or contains(rule.vcpus, first)):
            yield rule


def _rows(policy: Policy, rules: Iterable[Rule], ranks: Ranks) -> Rows:
    """The stretches of rules that apply."""
    top, total = max(ranks.values()), max(1, len(policy.rules))
    rows: Rows = {(MSR, 0): [], (IO, 0): []}
    for rule in rules:
        key = _key(rule, ranks, top) * total + rule.number
        row = rows.get((rule.space, rule.columns))
        if row is None:
            row = rows[rule.space, rule.columns] = []
        for lo, hi in rule.ranges:
            row.append((lo, hi, key))
    return rows


def _key(rule: Rule, ranks: Ranks, top: int) -> int:
    """A rule's key without its number. top: the highest of the ranks."""
    return (top - ranks[rule.layer, rule.profile]) * 4 + _place(rule)


def _place(rule: Rule) -> int:
    """Place inside the layer: allows are exceptions to the traps, conditional rules are asked before the others."""
    return (_TRAP if rule.traps else 0) | (0 if rule.conditions else _UNCONDITIONAL)


def _sweep(stretches: list[Stretch], total: int, last: int) -> tuple[Run, ...]:
    """Runs over 0..last from stretches sorted by lo; neighbours with equal chains are one run."""
    runs: list[Run] = []
    firm: list[tuple[int, int]] = []  # heap of (key, hi): unconditional rules, expired ones not yet on top stay in
    asked: list[tuple[int, int]] = []  # sorted (key, hi): conditional rules
    at, index, count = 0, 0, len(stretches)
    start = 0
    chain: tuple[int, ...] = ()
    alone: dict[int, tuple[int, ...]] = {}
    while at <= last:
        while index < count and stretches[index][0] == at:
            _, hi, key = stretches[index]
            index += 1
            if key // total & _UNCONDITIONAL:
                heappush(firm, (key, hi))
            else:
                insort(asked, (key, hi))
        while firm and firm[0][1] < at:
            heappop(firm)
        end = stretches[index][0] - 1 if index < count else last
        if firm:
            floor, hi = firm[0]
            end, link = min(end, hi), floor % total
        else:
            floor, link = -1, DEFAULT_RULE
        now = alone.get(link) or alone.setdefault(link, (link,))
        if asked:
            asked = [each for each in asked if each[1] >= at]
            above = [each for each in asked if floor < 0 or each[0] < floor]
            now = (*(key % total for key, _ in above), link)
            end = min(end, min((hi for _, hi in above), default=end))
        if now != chain:
            if at:
                runs.append(Run(start, at - 1, chain))
            start, chain = at, now
        at = end + 1
    runs.append(Run(start, last, chain))
    return tuple(runs)


def decide_all(policy: Policy) -> dict[Variant, DecisionMap]:
    """``decide`` of every variant. What all variants share is swept once; each then costs about what is its own."""
    shared = [rule for rule in policy.rules if rule.profile is None and rule.vcpus is None]
    special: dict[str | None, list[Rule]] = {}
    for rule in policy.rules:
        if rule.profile is not None or rule.vcpus is not None:
            special.setdefault(rule.profile, []).append(rule)
    total = max(1, len(policy.rules))
    ground = _Ground(_columns(_rows(policy, shared, layer_ranks(policy, None)), total))
    lineages: dict[str | None, tuple[str | None, ...]] = {None: (None,)}
    lineages |= {each.name: (None, *each.lineage) for each in policy.profiles}
    maps = {}
    for variant in variants(policy):
        ranks = layer_ranks(policy, variant.profile)
        candidates = [rule for name in lineages[variant.profile] for rule in special.get(name, ())]
        own = _columns(_rows(policy, _in_force(policy, candidates, variant), ranks), total)
        columns = ground.under(own, _Order(policy.rules, ranks))
        maps[variant] = DecisionMap(variant, defaults_of(policy, variant.profile), columns)
    return maps


class _Order:
    """Joins chains of rules that were swept apart."""

    def __init__(self, rules: tuple[Rule, ...], ranks: Ranks) -> None:
        self.rules = rules
        self.ranks = ranks
        self.top = max(ranks.values())
        self.known: dict[tuple[tuple[int, ...], tuple[int, ...]], tuple[int, ...]] = {}

    def joined(self, one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
        """The chain where both apply: what one of them leaves out comes after an unconditional rule in the other too."""
        found = self.known.get((one, other))
        if found is None:
            links = sorted({*one, *other} - {DEFAULT_RULE}, key=self.key)
            end = next((at for at, link in enumerate(links, 1) if not self.rules[link].conditions), None)
            found = self.known[one, other] = tuple([*links, DEFAULT_RULE] if end is None else links[:end])
        return found

    def key(self, number: int) -> tuple[int, int]:
        return _key(self.rules[number], self.ranks, self.top), number


class _Ground:
    """The runs of what all variants share, by column."""

    def __init__(self, columns: tuple[tuple[Run, ...], ...]) -> None:
        self.columns = columns
        self.lows = {id(runs): [run.lo for run in runs] for runs in columns}

    def under(self, own: tuple[tuple[Run, ...], ...], order: _Order) -> tuple[tuple[Run, ...], ...]:
        """The runs where a variant's own rules apply too; columns that nothing tells apart share one tuple."""
        made: dict[tuple[int, int], tuple[Run, ...]] = {}
        out = []
        for below, above in zip(self.columns, own, strict=True):
            key = (id(below), id(above))
            if key not in made:
                made[key] = self.laid(below, above, order)
            out.append(made[key])
        return tuple(out)

    def laid(self, below: tuple[Run, ...], above: tuple[Run, ...], order: _Order) -> tuple[Run, ...]:
        if len(above) == 1 and above[0].chain == (DEFAULT_RULE,):
            return below
        lows, out = self.lows[id(below)], list[Run]()
        for lo, hi, chain in above:
            first, last = bisect_right(lows, lo) - 1, bisect_right(lows, hi) - 1
            if chain != (DEFAULT_RULE,):
                for run in below[first : last + 1]:
                    _put(out, max(run.lo, lo), min(run.hi, hi), order.joined(chain, run.chain))
                continue
            _put(out, lo, min(below[first].hi, hi), below[first].chain)
            if first < last:
                out += below[first + 1 : last]
                _put(out, below[last].lo, hi, below[last].chain)
        return tuple(out)


def _put(runs: list[Run], lo: int, hi: int, chain: tuple[int, ...]) -> None:
    """One more run; neighbours with equal chains are one."""
    if runs and runs[-1].chain == chain:
        lo = runs.pop().lo
    runs.append(Run(lo, hi, chain))
