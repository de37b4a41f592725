"""No text is much slower to read than plain rules of its length, and none is read in more than linear time."""

from __future__ import annotations

from functools import partial

import pytest

from bench.slowest import LENGTH, PLAIN, search, text
from policyc.syntax.parser import parse
from policyc.syntax.reader import decode
from tests.growth import ratio

TIMES = 8
"""A plain rule's cost for a character. Comments, the dearest, take some four."""


def reading(data: bytes) -> partial[object]:
    return partial(parse, decode("x.pol", data))


@pytest.mark.parametrize(
    "piece", ["}", "#\n", "{\n", "\n#]\n\n#\n#\n{\n", "{ #\n", "profile a {\n", "a,", "1|", "\\\n", "##\n"]
)
def test_what_the_search_found_is_read_nearly_as_fast_as_plain_rules(piece: str) -> None:
    assert ratio(reading(text([piece], LENGTH)), reading(text(PLAIN, LENGTH)), TIMES) < TIMES


@pytest.mark.parametrize(
    "lines",
    [b" " * LENGTH + b"{}" * LENGTH, b"let io A = {\n" + b"0x1, #\n" * (LENGTH // 2) + b"}"],
    ids=["blanks before braces", "comments in a set"],
)
def test_what_one_statement_repeats_is_read_once(lines: bytes) -> None:
    plain_rules = text(PLAIN, len(lines))
    assert ratio(reading(lines), reading(plain_rules), TIMES) < TIMES


@pytest.mark.slow
def test_a_search_finds_nothing_slower() -> None:
    worst = search(60, 2)[:5]
    assert all(each.cost < TIMES and each.growth < 3 for each in worst), worst
