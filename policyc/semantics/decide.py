"""Fast decisions: one sweep over the rules' ranges gives, for every column, the runs of addresses decided alike.

The law is in the docstring of ``policyc.semantics.policy``. Here it is turned into one number per rule, its *key*:
the lower, the earlier the rule is asked. Most significant first, a key holds the layer (highest first; each profile of
a lineage is a layer of its own), the place inside the layer (conditional allow, allow, conditional trap, trap) and the
rule's number. The chain of an address is then the active keys in order, up to the first unconditional one.
"""

from __future__ import annotations

from bisect import insort
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
    rows, total = _applicable(policy, variant), max(1, len(policy.rules))
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
    return DecisionMap(variant, defaults_of(policy, variant.profile), tuple(out))


def layer_ranks(policy: Policy, profile: str | None) -> dict[tuple[int, str | None], int]:
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


def _applicable(policy: Policy, variant: Variant) -> dict[tuple[str, int], list[Stretch]]:
    """The stretches of the rules that apply in a variant, by space and mask of columns."""
    ranks = layer_ranks(policy, variant.profile)
    top, total = max(ranks.values()), max(1, len(policy.rules))
    vcpus = policy.vcpu_classes[variant.vcpu_class].vcpus
    first = vcpus[0][0] if vcpus else -1
    rows: dict[tuple[str, int], list[Stretch]] = {(MSR, 0): [], (IO, 0): []}
    for rule in policy.rules:
        rank = ranks.get((rule.layer, rule.profile))
        # A class is an atom: a rule covers all of its vCPUs or none, so one of them speaks for it.
        if rank is None or (rule.vcpus is not None and not contains(rule.vcpus, first)):
            continue
        key = ((top - rank) * 4 + _place(rule)) * total + rule.number
        row = rows.get((rule.space, rule.columns))
        if row is None:
            row = rows[rule.space, rule.columns] = []
        for lo, hi in rule.ranges:
            row.append((lo, hi, key))
    return rows


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
        now: tuple[int, ...] = (link,)
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
