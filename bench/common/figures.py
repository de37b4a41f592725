"""What a bench returns, and how figures of two runs stand beside each other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """One measured number.

    name: unique in its bench, and the same in every run, for it is how two runs are compared ("check, 100 rules").
    unit: "x bare", "ns", "MB". most: what is promised; None where nothing is. more: a greater number is the better one.
    steady: the same in every run, to a few in a hundred: a rise of more than a quarter is the commit's doing.
    """

    name: str
    value: float
    unit: str
    most: float | None = None
    more: bool = False
    steady: bool = False

    @property
    def over(self) -> bool:
        """Whether a promise is broken."""
        return self.most is not None and self.value > self.most


class Result(NamedTuple):
    """What one bench found. plots: SVG by file name, such as ``startup.svg``."""

    figures: tuple[Figure, ...]
    plots: Mapping[str, str] = {}


GROWTH = 1.25
"""Times what a steady figure was at the commit before: more is a failure."""

Results = Mapping[str, Sequence[Figure]]
"""Figures by the name of their bench."""


def number(value: float) -> str:
    """Three significant digits or all digits before the point: ``0.0123``, ``5.48``, ``12,345``."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.{2 if abs(value) < 10 else 1}f}"


def grown(results: Results, before: Results) -> list[str]:
    """What rose by more than a quarter, of the figures that are steady."""
    found = []
    for bench, figures in results.items():
        old = {each.name: each.value for each in before.get(bench, ())}
        found += [f"{bench}, {e.name}" for e in figures if e.steady and e.value > old.get(e.name, e.value) * GROWTH]
    return found


def change(now: Figure, before: Figure | None) -> str:
    """``+12 %``, or ``new``."""
    if before is None:
        return "new"
    return f"{100 * (now.value / before.value - 1):+.0f} %" if before.value else "-"


def table(results: Results, before: Results | None = None) -> str:
    """A Markdown table, aligned for reading as plain text too; broken promises say OVER."""
    head = ["bench", "what", "measured", "unit", "at most"] + ([] if before is None else ["before", "change"])
    rows = [head]
    for bench, figures in results.items():
        old = {} if before is None else {each.name: each for each in before.get(bench, ())}
        for each in figures:
            promise = "" if each.most is None else number(each.most) + (" OVER" if each.over else "")
            row = [bench, each.name, number(each.value), each.unit, promise]
            if before is not None:
                row += [number(old[each.name].value) if each.name in old else "", change(each, old.get(each.name))]
            rows.append(row)
    return aligned(rows, left=(0, 1, 3))


def aligned(rows: Sequence[Sequence[str]], left: Iterable[int] = (0,)) -> str:
    """Rows, the first of them the heads, as a Markdown table. left: the columns of words; numbers end at the right."""
    flush = frozenset(left)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        [
            cell.ljust(width) if at in flush else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
    rule = ["-" * width if at in flush else "-" * (width - 1) + ":" for at, width in enumerate(widths)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [lines[0], rule, *lines[1:]])


def to_json(results: Results, about: Mapping[str, str]) -> str:
    """about: what the numbers depend on: the commit, the machine, Python."""
    found = {bench: [each._asdict() for each in figures] for bench, figures in results.items()}
    return json.dumps({"about": dict(about), "benches": found}, indent=1, sort_keys=True) + "\n"


def from_json(text: str) -> dict[str, tuple[Figure, ...]]:
    """The figures that to_json wrote."""
    return {bench: tuple(Figure(**each) for each in found) for bench, found in json.loads(text)["benches"].items()}
