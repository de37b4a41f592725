"""Statements at the places that they had in files which need not be there any more."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from policyc.vocabulary.span import Source, Span


class Place(NamedTuple):
    """A statement's text, and the line and column (from 1) of its first character."""

    line: int
    column: int
    text: str


class Excerpt(Source):
    """Some lines of a file, under the numbers that they have in it: all that messages and C comments need of one.

    numbers: those of the text's lines, ascending.
    """

    __slots__ = ("numbers",)

    def __init__(self, name: str, rows: list[str], numbers: list[int]) -> None:
        super().__init__(name, "\n".join(rows))
        self.numbers = numbers or [1]

    def position(self, offset: int) -> tuple[int, int]:
        row, column = super().position(offset)
        return self.numbers[row - 1], column

    def line(self, number: int) -> str:
        row = bisect_left(self.numbers, number)
        return super().line(row + 1) if self.numbers[row : row + 1] == [number] else ""

    def line_start(self, number: int) -> int:
        return super().line_start(min(bisect_left(self.numbers, number) + 1, len(self.numbers)))

    @property
    def line_count(self) -> int:
        return self.numbers[-1]


class Clippings:
    """One file's statements, put where they stood. Statements that claim one place stand behind each other."""

    def __init__(self, name: str, places: set[Place]) -> None:
        rows: dict[int, str] = {}
        starts: dict[Place, list[tuple[int, int]]] = {}
        for place in sorted(places):
            starts[place] = []
            for number, text in enumerate(place.text.split("\n"), place.line):
                before = rows.get(number, "")
                if number == place.line and len(before) < place.column:
                    before = before.ljust(place.column - 1)
                elif before:
                    before += " "
                rows[number] = before + text
                starts[place].append((number, len(before)))
        numbers = sorted(rows)
        self.source = Excerpt(name, [rows[number] for number in numbers], numbers)
        self.starts = starts

    def span(self, place: Place, start: int = 0, end: int | None = None) -> Span:
        """Where characters start..end-1 of a placed statement (all of them for None) stand by now."""
        last = len(place.text) if end is None else end
        return Span(self.source, self._offset(place, start), self._offset(place, last))

    def _offset(self, place: Place, offset: int) -> int:
        before = place.text.count("\n", 0, offset)
        number, column = self.starts[place][before]
        within = offset - (place.text.rfind("\n", 0, offset) + 1)
        row = bisect_right(self.source.numbers, number) - 1
        return Source.line_start(self.source, row + 1) + column + within
