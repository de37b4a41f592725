"""The cells of one address space: stretches of addresses that the very same rules cover.

An address is covered by a rule or it is not; that changes only where a range of the rule begins or has just ended. So
between two neighbours of the sorted list of all such places (and of the places where the hardware's answer changes,
``edges``) the evaluator is asked the same question, and one address speaks for the cell.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from policyc.semantics.policy import Rule
from policyc.vocabulary.access import COLUMNS
from policyc.vocabulary.typed import NamedTuple

Rank = tuple[int, int]
Kind = tuple[Rank, int]
"""A rule's rank and a number for all else of it that the evaluator reads, but for where it is."""


_NUMBER, _NUMBERS = 32, (1 << 32) - 1
"""Where an address and a rule's number share one integer: bits of the number."""


_Floor = tuple[Rank, bool, int]
"""Where a rule stands: rank of its layer, whether it allows, its columns."""
_ALL_COLUMNS = (1 << len(COLUMNS)) - 1


class Cell(NamedTuple):
    """lo..hi: the addresses. edge: the greatest edge at or below lo. rules: numbers, in source order, of the rules
    that cover it and that the evaluator can come to: none that an unconditional one stands before in every column,
    and of those without conditions and of one kind only the first. kinds: theirs, in the same order."""

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
    stack = _Stack(ranked, kinds)
    kind_of = stack.kind_of
    begins: list[int] = []
    ends: list[int] = []
    for _, rule in ranked:
        for lo, hi in rule.ranges:
            begins.append(lo << _NUMBER | rule.number)
            ends.append(hi + 1 << _NUMBER | rule.number)
    for events in (begins, ends):
        events.append(last + 1 << _NUMBER)
        events.sort(reverse=True)
    cells: list[Cell] = []
    shared: dict[tuple[Kind, ...], tuple[Kind, ...]] = {}
    steps = [last + 1, *reversed(edges)]
    point = edge = 0
    while point <= last:
        if steps[-1] == point:
            edge = steps.pop()
        while ends[-1] >> _NUMBER == point:
            stack.drop(ends.pop() & _NUMBERS)
        while begins[-1] >> _NUMBER == point:
            stack.put(begins.pop() & _NUMBERS)
        end = min(begins[-1] >> _NUMBER, ends[-1] >> _NUMBER, steps[-1])
        rules = stack.reached()
        named = tuple([kind_of[number] for number in rules])
        hi = end - 1 if end - 1 > point else point  # One object, where it is one address.
        cells.append(Cell(point, hi, edge, tuple(rules), shared.setdefault(named, named)))
        point = end
    return cells


class _Stack:
    """The rules that cover the address a sweep has come to, so that those nobody asks are not looked at one by one:
    a policy may lay 20,000 rules over one another below an `allow`."""

    def __init__(self, ranked: list[tuple[Rank, Rule]], kinds: Kinds) -> None:
        self.kind_of: dict[int, Kind] = {}
        self._asked: set[int] = set()
        self._floor: dict[int, _Floor] = {}
        same: dict[Kind, Kind] = {}
        level: dict[_Floor, _Floor] = {}
        for rank, rule in ranked:
            kind, floor = (rank, kinds.of[rule.number]), (rank, rule.verb == "allow", rule.columns)
            self.kind_of[rule.number] = same.setdefault(kind, kind)
            self._floor[rule.number] = level.setdefault(floor, floor)
            if rule.conditions:
                self._asked.add(rule.number)
        self._rows: dict[_Floor, dict[Kind | None, list[int]]] = {}
        self._order: list[_Floor] = []

    def put(self, number: int) -> None:
        floor = self._floor[number]
        rows = self._rows.get(floor)
        if rows is None:
            rows = self._rows[floor] = {}
            insort(self._order, floor)
        insort(rows.setdefault(self._kind(number), []), number)

    def drop(self, number: int) -> None:
        floor, kind = self._floor[number], self._kind(number)
        rows = self._rows[floor]
        row = rows[kind]
        del row[bisect_left(row, number)]
        if not row:
            del rows[kind]
        if not rows:
            del self._rows[floor]
            del self._order[bisect_left(self._order, floor)]

    def _kind(self, number: int) -> Kind | None:
        """None for all that have conditions: of those each one counts."""
        return None if number in self._asked else self.kind_of[number]

    def reached(self) -> list[int]:
        """Numbers of the rules that an access of some column comes to, in order.

        By rules 2 and 3 of the law: layer by layer from the highest, in each the allows first, as far as the first
        rule without conditions.
        """
        out: list[int] = []
        left = below = -1  # Columns, as bits, that no unconditional rule has settled: so far, and above this step.
        step: tuple[Rank, bool] | None = None
        for rank, allows, columns in reversed(self._order):
            if step != (rank, allows):
                step, left = (rank, allows), below
                if not left & _ALL_COLUMNS:
                    break
            if columns & left:
                for kind, row in self._rows[rank, allows, columns].items():
                    if kind is None:
                        out += row
                    else:
                        out.append(row[0])
                        below &= ~columns
        out.sort()
        return out
