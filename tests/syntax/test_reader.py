"""What the reader makes of bytes, where tests/semantics/test_codes_files.py has its messages."""

from __future__ import annotations

import re
from itertools import product

import pytest

from policyc.syntax import reader
from policyc.vocabulary.diagnostic import PolicyError


def first_long_line(text: str, most: int) -> int | None:
    """Where the first line of over so many characters begins, counted line by line."""
    at = 0
    for line in re.split(r"[\r\n]", text):
        if len(line) > most:
            return at
        at += len(line) + 1
    return None


def refused_at(text: str) -> int | None:
    try:
        reader.decode("x.pol", text.encode())
    except PolicyError as reason:
        (found,) = reason.diagnostics
        assert (found.code, found.primary is None) == ("E004", False)
        return None if found.primary is None else found.primary.span.start
    return None


def test_the_first_line_that_is_too_long_is_refused_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_LINE", 2)
    texts = ["".join(chars) for size in range(9) for chars in product("x\n\r", repeat=size)]
    assert [refused_at(text) for text in texts] == [first_long_line(text, 2) for text in texts]
