"""How many rules with conditions lie over one another: each is asked wherever it lies, by the maps, proof and handler.

Rules without conditions hide what is below them. Those with conditions do not: 20,000 ranges one inside the other, each
for a value of its own, make 40,000 stretches of addresses at which 10,000 rules are asked on average.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from policyc.semantics.policy import Rule
from policyc.vocabulary.diagnostic import Diagnostic, error

MAX_ASKED = 250_000
"""Rules asked, summed over the stretches of addresses on which the same rules lie; the proof of as many takes some ten seconds."""


def crowded(rules: Iterable[Rule]) -> list[Diagnostic]:
    """E004 where the rules of one address space, of one profile and those outside profiles, pass MAX_ASKED."""
    groups: dict[str, dict[str | None, list[Rule]]] = {}
    for rule in rules:
        groups.setdefault(rule.space, {}).setdefault(rule.profile, []).append(rule)
    for by_profile in groups.values():
        everywhere = by_profile.get(None, [])
        for profile, own in by_profile.items():
            found = _crowded(own if profile is None else everywhere + own)
            if found:
                return found
    return []


def _crowded(rules: list[Rule]) -> list[Diagnostic]:
    asked = [rule for rule in rules if rule.conditions]
    if not asked or len(asked) * 2 * sum(len(rule.ranges) for rule in rules) <= MAX_ASKED:
        return []
    edges = sorted({edge for rule in rules for lo, hi in rule.ranges for edge in (lo, hi + 1)})
    total = 0
    for rule in asked:
        for lo, hi in rule.ranges:
            total += bisect_right(edges, hi) - bisect_right(edges, lo - 1)
        if total > MAX_ASKED:
            said = "too many rules with conditions lie over one another here, for every address must be asked of each"
            return [error("E004", said, rule.span, helps=("give each condition the addresses that it is about",))]
    return []
