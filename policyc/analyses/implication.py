"""Statements about two policies, proven for every access of every variant, or refuted by one access.

*A implies B*: whatever A passes, B passes as well; nothing that A passes is trapped by B. *Equivalent*: both make the
same of every access. *Disjoint*: no access is passed by both. An access is *passed* if it reaches the hardware as the
guest wrote it, without an exit or because an action passes it on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from policyc.analyses.compare import Pair, Place, Way
from policyc.analyses.diff import Scope, Side, access_of, scopes
from policyc.semantics.policy import Variant
from policyc.semantics.verdicts import Judge, Verdict
from policyc.vocabulary.access import COLUMNS, Access

IMPLIES, EQUIVALENT, DISJOINT = "implies", "equivalent", "disjoint"
RELATIONS = (IMPLIES, EQUIVALENT, DISJOINT)

_BREAKS: dict[str, Callable[[Way], bool]] = {
    IMPLIES: lambda way: way.left.passes and not way.right.passes,
    EQUIVALENT: lambda way: way.differs,
    DISJOINT: lambda way: way.left.passes and way.right.passes,
}


class Counterexample(NamedTuple):
    """An access that breaks a statement, where it does, and what either policy makes of it.

    known: False where there are more conditions than can be followed: then the statement may hold all the same.
    """

    access: Access
    scope: Scope
    left: Verdict
    right: Verdict
    known: bool = True


class Outcome(NamedTuple):
    """counterexample: None where the statement holds. scopes: how many were compared until then."""

    counterexample: Counterexample | None
    scopes: int

    @property
    def holds(self) -> bool:
        return self.counterexample is None


def prove(
    relation: str, left: Side, right: Side, profiles: Iterable[tuple[str | None, str | None]] | None = None
) -> Outcome:
    """Whether a member of RELATIONS holds. profiles: the pairs to compare; None for those of ``profile_pairs``."""
    breaks = _BREAKS[relation]
    perhaps: Counterexample | None = None
    count = 0
    for one, other in profile_pairs(left, right) if profiles is None else profiles:
        for scope, pair in _pairs(left, right, one, other):
            count += 1
            for place in _places(pair, relation):
                for way in pair.ways(place):
                    if breaks(way):
                        access = access_of(place.column, place.lo, way.value, way.cpl)
                        found = Counterexample(access, scope, way.left, way.right, way.known)
                        if way.known:
                            return Outcome(found, count)
                        perhaps = perhaps or found
    return Outcome(perhaps, count)


def profile_pairs(left: Side, right: Side) -> list[tuple[str | None, str | None]]:
    """The base policies, then each profile with the one of its name; one that the other lacks with the other's base."""
    ours, theirs = ([each.name for each in side.policy.profiles] for side in (left, right))
    both = [(name, name if name in theirs else None) for name in ours]
    return [(None, None), *both, *((None, name) for name in theirs if name not in ours)]


def _pairs(left: Side, right: Side, one: str | None, other: str | None) -> Iterator[tuple[Scope, Pair]]:
    for scope, view, first, second in scopes(left.policy, right.policy, other, one):
        yield (
            scope,
            Pair(
                Judge(left.policy, left.maps[Variant(one, first)], view),
                Judge(right.policy, right.maps[Variant(other, second)], view),
            ),
        )


def _places(pair: Pair, relation: str) -> Iterator[Place]:
    """Accesses that may break it. Where both policies agree, only disjointness can be broken."""
    for column in COLUMNS:
        yield from pair.passing(column) if relation == DISJOINT else pair.suspects(column)
