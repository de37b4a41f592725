"""Rows of words below each other."""

from __future__ import annotations

from collections.abc import Sequence

WIDEST = 40
"""Columns that one cell may claim from all rows; a longer one moves only its own row."""


def table(rows: Sequence[Sequence[str]], indent: str = "  ") -> list[str]:
    """Lines of aligned cells, two spaces between columns; every row has the same number of cells."""
    if not rows:
        return []
    widths = [min(WIDEST, max(len(row[column]) for row in rows)) for column in range(len(rows[0]))]
    return [
        (indent + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True) if width)).rstrip()
        for row in rows
    ]
