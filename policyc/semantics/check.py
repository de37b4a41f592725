"""What must hold of a policy beyond its words: no two rules that disagree, no broken claim.

Tests are run by ``policyc.semantics.outcomes``.
"""

from __future__ import annotations

from collections.abc import Mapping

from policyc.semantics.addresses import Names
from policyc.semantics.conflicts import conflicts
from policyc.semantics.policy import DecisionMap, Policy, Variant
from policyc.vocabulary.diagnostic import Diagnostic


def check(policy: Policy, maps: Mapping[Variant, DecisionMap], names: Names | None = None) -> list[Diagnostic]:
    """E201, E202, E203, E211 and E212, in source order.

    maps: the decisions of every variant of the policy. names: the database, for names of addresses in messages.
    A claim that breaks at a rule that clashes is not told as well: until the clash is mended nobody knows what holds.
    """
    found = conflicts(policy, names)
    if not policy.asserts and not policy.nevers:
        return joined(found, [])
    from policyc.semantics.claims import claims

    return joined(found, claims(policy, maps, names))


def joined(clashes: list[Diagnostic], broken: list[Diagnostic]) -> list[Diagnostic]:
    """Reports of clashes and of broken claims, without those claims that break at a rule that clashes."""
    clashing = {label.span for each in clashes for label in (each.primary, *each.secondary) if label is not None}
    found = list(clashes)
    for each in broken:
        if not any(label.span in clashing for label in each.secondary):
            found.append(each)
    return sorted(found, key=Diagnostic.sort_key)
