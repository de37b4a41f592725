"""Small maps of an address space: one character stands for a stretch of addresses.

MSRs: the upper half of a block says that reads exit, the lower half that writes do. Ports: a full block says that all
exit, a shaded one that some do.
"""

from __future__ import annotations

from typing import NamedTuple

from policyc.vocabulary.intervals import Intervals, intersect, size


class Signs(NamedTuple):
    """none, all: nothing or everything exits. read, write: all reads, or all writes. some: anything between."""

    none: str
    read: str
    write: str
    all: str
    some: str


BLOCKS = Signs("·", "▀", "▄", "█", "▒")
ASCII = Signs(".", "r", "w", "#", "+")


def signs(encoding: str | None) -> Signs:
    """Blocks where the encoding has them, else ASCII."""
    try:
        "".join(BLOCKS).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


def legend(with_: Signs, msr: bool) -> str:
    """One line that says what the characters mean."""
    halves = f", {with_.read} reads exit, {with_.write} writes exit" if msr else ""
    return f"{with_.none} nothing exits{halves}, {with_.all} all exit, {with_.some} some exit"


def chart(first: int, last: int, read: Intervals, write: Intervals, with_: Signs, cells: int, rows: int) -> list[str]:
    """``rows`` lines of ``cells`` characters over the addresses first..last; each line begins with its first address.

    For ports, read and write are the same set.
    """
    step = (last - first + 1) // (cells * rows)
    width = len(f"{last:x}")
    lines = []
    for row in range(rows):
        start = first + row * cells * step
        drawn = "".join(
            _sign(read, write, start + cell * step, start + (cell + 1) * step - 1, with_) for cell in range(cells)
        )
        lines.append(f"0x{start:0{width}x} {drawn}")
    return lines


def _sign(read: Intervals, write: Intervals, lo: int, hi: int, with_: Signs) -> str:
    whole = hi - lo + 1
    reads, writes = size(intersect(read, ((lo, hi),))), size(intersect(write, ((lo, hi),)))
    if reads in (0, whole) and writes in (0, whole):
        return {(0, 0): with_.none, (whole, 0): with_.read, (0, whole): with_.write}.get((reads, writes), with_.all)
    return with_.some
