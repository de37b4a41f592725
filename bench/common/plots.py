"""Plots in SVG, without a library: bars for a handful of figures, lines for growth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from typing import NamedTuple

COLOURS = ("#c02020", "#2060c0", "#208040", "#a060c0", "#b07000", "#606060")
"""Of lines, in the order in which they are given."""

_STYLE = 'font-family="sans-serif" font-size="12"'


class Bar(NamedTuple):
    """One row. ours: drawn in our colour; peers and yardsticks are grey."""

    name: str
    value: float
    ours: bool = True


def bars(rows: Sequence[Bar], what: str, promises: Mapping[str, float] | None = None) -> str:
    """A bar a row. what: stands below, and says the unit. promises: by row, the most it may be: a red mark."""
    promises = promises or {}
    left, width, step = 260, 330, 22
    top = max([each.value for each in rows] + list(promises.values()))
    height = 40 + step * len(rows)
    parts = _begin(660, height)
    for number, row in enumerate(rows):
        y, length = 10 + step * number, width * row.value / top
        mark = width * promises.get(row.name, 0) / top
        parts += [
            _text(left - 8, y + 12, row.name, "end"),
            f'<rect x="{left}" y="{y}" width="{length:.1f}" height="16" fill="{"#4878a8" if row.ours else "#999"}"/>',
            _text(left + max(length, mark) + 6, y + 12, _short(row.value)),
        ]
        if row.name in promises:
            x = left + width * promises[row.name] / top
            parts.append(
                f'<line x1="{x:.1f}" y1="{y - 3}" x2="{x:.1f}" y2="{y + 19}" stroke="#c02020" stroke-width="2"/>'
            )
    parts.append(_text(left, height - 8, what))
    return "\n".join([*parts, "</svg>", ""])


def lines(series: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str, thick: str = "") -> str:
    """Lines over logarithmic axes. series: points by name. x, y: what the axes say. thick: the line that matters."""
    points = [point for each in series.values() for point in each]
    across, up = _Axis([point[0] for point in points], 80, 480), _Axis([point[1] for point in points], 300, 30)
    parts = _begin(660, 360)
    for value in sorted({point[0] for point in points}):
        parts.append(_text(across.place(value), 322, _short(value), "middle"))
    for value in up.ticks():
        at = up.place(value)
        parts.append(f'<line x1="70" x2="490" y1="{at:.1f}" y2="{at:.1f}" stroke="#e0e0e0"/>')
        parts.append(_text(62, at + 4, _short(value), "end"))
    parts += [_text(280, 350, x, "middle"), _text(10, 18, y)]
    for number, (name, run) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [(across.place(a), up.place(b)) for a, b in run]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        width = 3 if name == thick else 1.5
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in places]
        parts.append(_text(505, 50 + 20 * number, name, fill=colour))
    return "\n".join([*parts, "</svg>", ""])


class _Axis:
    """A logarithmic axis. low, high: where on the picture its ends are."""

    def __init__(self, values: Sequence[float], low: float, high: float) -> None:
        self.least, self.greatest = min(values), max(values)
        self.low, self.high = low, high

    def place(self, value: float) -> float:
        if self.least == self.greatest:
            return (self.low + self.high) / 2
        part = log10(value / self.least) / log10(self.greatest / self.least)
        return self.low + part * (self.high - self.low)

    def ticks(self) -> list[float]:
        """1, 2 and 5 times the powers of ten that lie on the axis; fewer where these would crowd it."""
        decades = range(floor(log10(self.least)), ceil(log10(self.greatest)) + 1)
        steps = (1, 2, 5) if len(decades) <= 4 else (1,)
        return [s * 10.0**d for d in decades for s in steps if self.least <= s * 10.0**d <= self.greatest]


def _begin(width: int, height: int) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" {_STYLE}>',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]


def _text(x: float, y: float, words: str, anchor: str = "start", fill: str = "black") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{escape(words)}</text>'


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.3g}"
