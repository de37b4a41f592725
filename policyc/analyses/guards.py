"""Guards that a change removes: what `never allow`, assertions and tests held before and nothing holds now.

Compared by meaning: a guard that was split, merged, renamed or moved to another file is still there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from policyc.semantics.policy import Assertion, Never, Policy
from policyc.vocabulary.access import COLUMNS
from policyc.vocabulary.intervals import Intervals, normal, subtract, union
from policyc.vocabulary.span import Span

NEVER, ASSERT, TEST = "never", "assert", "test"


class Dropped(NamedTuple):
    """kind: never, assert or test. span: the old statement, or the case of a test. test: its name. rest: what of the
    statement's addresses nothing guards any more; all of them where nothing is left of it, none for a test."""

    kind: str
    span: Span
    test: str = ""
    rest: Intervals = ()
    whole: bool = True


def dropped(old: Policy, new: Policy) -> tuple[Dropped, ...]:
    """In the order: never, assertions, tests; each in source order."""
    return (
        *_uncovered(NEVER, old.nevers, new.nevers),
        *_uncovered(ASSERT, old.asserts, new.asserts),
        *_cases(old, new),
    )


def _uncovered(kind: str, old: Iterable[Any], new: Iterable[Any]) -> Iterator[Dropped]:
    kept: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
    for each in new:
        for column in _columns(each):
            kept.setdefault((_claim(each), each.profile, column), []).extend(each.ranges)
    for each in old:
        left: Intervals = ()
        for column in _columns(each):
            # What holds in every profile holds in this one too.
            held = [pair for name in {each.profile, None} for pair in kept.get((_claim(each), name, column), ())]
            left = union(left, subtract(each.ranges, normal(held)))
        if left:
            yield Dropped(kind, each.span, "", left, left == each.ranges)


def _claim(guard: Never | Assertion) -> tuple[Any, ...]:
    """What is claimed of each access."""
    if isinstance(guard, Never):
        return (guard.space,)
    return (guard.space, guard.negated, guard.kind, guard.expected)


def _columns(guard: Never | Assertion) -> Iterator[int]:
    return (column for column in COLUMNS if guard.columns >> column & 1)


def _cases(old: Policy, new: Policy) -> Iterator[Dropped]:
    """Cases of tests; under which name a test has them does not matter."""
    kept = {case[:-1] for test in new.tests for case in test.cases}
    for test in old.tests:
        for case in test.cases:
            if case[:-1] not in kept:
                yield Dropped(TEST, case.span, test.name)
