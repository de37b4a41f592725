"""Columns in code units, and what two texts have in common."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from policyc.lsp.places import offset, position, units
from policyc.syntax.reparse import common
from policyc.vocabulary.span import Source

TEXTS = st.text(st.sampled_from("ab \u00e9\u20ac\U0001f600\r\n"), max_size=30)
ENCODINGS = {"utf-8": 1, "utf-16": 2, "utf-32": 4}
"""Bytes of a code unit, for Python's own encoders."""


@given(TEXTS, st.sampled_from(sorted(ENCODINGS)))
def test_units_are_those_of_python_s_encoders(text: str, encoding: str) -> None:
    encoder = encoding if encoding == "utf-8" else f"{encoding}-le"
    assert units(text, encoding) == len(text.encode(encoder)) // ENCODINGS[encoding]


@given(TEXTS, st.integers(0, 30), st.sampled_from(sorted(ENCODINGS)))
def test_a_character_s_position_leads_back_to_it(text: str, at: int, encoding: str) -> None:
    source = Source("x", text)
    at = min(at, len(text))
    if text[at - 1 : at + 1] == "\r\n" and at:
        at += 1  # Between CR and LF no editor has a position.
    assert offset(source, position(source, at, encoding), encoding) == at


@given(TEXTS, st.integers(0, 99), st.integers(0, 99), st.sampled_from(sorted(ENCODINGS)))
def test_any_position_has_an_offset(text: str, line: int, column: int, encoding: str) -> None:
    assert 0 <= offset(Source("x", text), types.Position(line, column), encoding) <= len(text)


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_what_two_texts_share_is_found_at_both_ends(head: str, old: str, new: str, tail: str) -> None:
    one, other = head + old + tail, head + new + tail
    begin, end = common(one, other)
    assert begin + end <= min(len(one), len(other))
    assert one[:begin] == other[:begin]
    assert one[len(one) - end :] == other[len(other) - end :]
    rest = one[begin : len(one) - end], other[begin : len(other) - end]
    assert "" in rest or (rest[0][0] != rest[1][0] and rest[0][-1] != rest[1][-1])
