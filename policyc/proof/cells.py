"""The cells of one address space: stretches of addresses that the very same rules cover.

An address is covered by a rule or it is not; that changes only where a range of the rule begins or has just ended. So
between two neighbours of the sorted list of all such places (and of the places where the hardware's answer changes,
``edges``) the evaluator is asked the same question, and one address speaks for the cell.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from policyc.semantics.policy import Rule
from policyc.vocabulary.typed import NamedTuple

Rank = tuple[int, int]
Kind = tuple[Rank, int]
"""A rule's rank and a number for all else of it that the evaluator reads, but for where it is."""


_NUMBER, _NUMBERS = 32, (1 << 32) - 1
"""Where an address and a rule's number share one integer: bits of the number."""


class Cell(NamedTuple):
    """lo..hi: the addresses. edge: the greatest edge at or below lo. rules: numbers of the rules that cover it, in
    source order; of those without conditions and of one kind only the first, as the evaluator would name no other.
    kinds: theirs, in the same order."""

    lo: int
    hi: int
    edge: int
    rules: tuple[int, ...]
    kinds: tuple[Kind, ...]


class Kinds:
    """Numbers the kinds of a policy's rules. Two rules of a kind differ in number, ranges and what people read."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        seen: dict[tuple[object, ...], int] = {}
        self.of = [
            seen.setdefault((rule.space, rule.verb, rule.columns, rule.conditions, rule.actions), len(seen))
            for rule in rules
        ]


def cut(ranked: list[tuple[Rank, Rule]], kinds: Kinds, edges: tuple[int, ...], last: int) -> list[Cell]:
    """The cells of 0..last, in order and without gap. ranked: the rules in force in the space. edges: begins with 0."""
    kind_of: dict[int, Kind] = {}
    lasting: set[int] = set()
    begins: list[int] = []
    ends: list[int] = []
    for rank, rule in ranked:
        number = rule.number
        kind_of[number] = (rank, kinds.of[number])
        if rule.conditions:
            lasting.add(number)
        for lo, hi in rule.ranges:
            begins.append(lo << _NUMBER | number)
            ends.append(hi + 1 << _NUMBER | number)
    for events in (begins, ends):
        events.append(last + 1 << _NUMBER)
        events.sort(reverse=True)
    firm: dict[Kind, list[int]] = {}
    asked: list[int] = []
    cells: list[Cell] = []
    shared: dict[tuple[Kind, ...], tuple[Kind, ...]] = {}
    steps = [last + 1, *reversed(edges)]
    point = edge = 0
    while point <= last:
        if steps[-1] == point:
            edge = steps.pop()
        while ends[-1] >> _NUMBER == point:
            number = ends.pop() & _NUMBERS
            row = asked if number in lasting else firm[kind_of[number]]
            del row[bisect_left(row, number)]
            if not row and row is not asked:
                del firm[kind_of[number]]
        while begins[-1] >> _NUMBER == point:
            number = begins.pop() & _NUMBERS
            insort(asked if number in lasting else firm.setdefault(kind_of[number], []), number)
        end = min(begins[-1] >> _NUMBER, ends[-1] >> _NUMBER, steps[-1])
        rules = [row[0] for row in firm.values()]
        if asked or len(rules) > 1:
            rules = sorted(rules + asked)
        named = tuple([kind_of[number] for number in rules])
        cells.append(Cell(point, end - 1, edge, tuple(rules), shared.setdefault(named, named)))
        point = end
    return cells
