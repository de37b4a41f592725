"""Start ports of wide accesses: which combinations of answers an access meets, and rows of what comes of it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, islice

from policyc.proof.rows import number

Place = tuple[str, int]
"""A target and a column."""
Piece = tuple[int, int, int]
"""Ports lo..hi, and the number of the answer that holds for each of them."""
Touched = tuple[int, ...]
"""Numbers of the answers that an access touches, lowest port first."""


def runs(pieces: Iterable[Piece], width: int, last: int) -> tuple[list[Touched], list[int], dict[Touched, int]]:
    """For every start port whose accesses of a width end within the pieces (or run past ``last``, where they end):
    what it touches, with how many neighbouring start ports touch the same; and for each combination one that has it.

    The pieces are neighbours, in order. Of one that is longer than the width its first start ports touch nothing else
    and are one run, so the effort is that of the pieces, not of the ports.
    """
    answers: list[int] = []
    counts: list[int] = []
    first = end = 0
    for lo, end, answer in pieces:
        if not answers:
            first = lo
        more = end - lo + 1 - width
        if more > 0:
            answers += [answer] * width
            counts.append(more + 1)
            counts += [1] * (width - 1)
        else:
            answers += [answer] * (end - lo + 1)
            counts += [1] * (end - lo + 1)
    # Few combinations differ, and there may be 65,536 places: each is kept once.
    known: dict[Touched, Touched] = {}
    neighbours = zip(*(islice(answers, offset, None) for offset in range(width)), strict=False)
    touched = [known.setdefault(each, each) for each in neighbours]
    if end == last:
        touched += [tuple(answers[-left:]) for left in range(min(width - 1, len(answers)), 0, -1)]
    return touched, counts, dict(zip(touched, accumulate(counts, initial=first), strict=False))


def rows(touched: list[Touched], counts: list[int], verdicts: dict[Touched, dict[Place, bool]]) -> dict[Place, bytes]:
    """One character a start port, for each place of the verdicts; equal rows are written once."""
    out: dict[Place, bytes] = {}
    made: dict[tuple[bool, ...], bytes] = {}
    for key in next(iter(verdicts.values()), {}):
        signature = tuple([verdict[key] for verdict in verdicts.values()])
        if signature not in made:
            text = {each: b"1" if verdict[key] else b"0" for each, verdict in verdicts.items()}
            row = bytearray()
            for each, count in zip(touched, counts, strict=False):
                row += text[each] * count
            made[signature] = bytes(row)
        out[key] = made[signature]
    return out


def numbers(rows: dict[Place, bytes]) -> dict[Place, int]:
    """Each row as a number. Rows that are one text are one number."""
    made: dict[int, int] = {}
    for text in rows.values():
        if id(text) not in made:
            made[id(text)] = number(text)
    return {key: made[id(text)] for key, text in rows.items()}
