"""The quick way for plain rules gives what the grammar gives, or nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.policies import KINDS
from policyc.syntax import plain, tree
from policyc.syntax.builder import TreeBuilder
from policyc.syntax.lalr import Unexpected, parse, reducers
from policyc.syntax.parser import parse as parse_file
from policyc.vocabulary.span import Source

DOC = ("a line",)


def by_the_grammar(source: Source, start: int, end: int) -> tree.Statement | None:
    """The statement, None where it is wrong."""
    builder = TreeBuilder(source)
    builder.begin(start, end, DOC)
    try:
        made: tree.Statement = parse(source, start, end, "statement", reducers(builder))
    except Unexpected:
        return None
    return None if builder.problems else made


def agree(text: str) -> bool:
    """Whether the quick way takes a text, once it is sure that the two do not differ."""
    source = Source("x.pol", f"# before\n{text}\n")
    start, end = 9, 9 + len(text)
    quick = plain.rule(source, start, end, DOC)
    assert quick is None or quick == by_the_grammar(source, start, end)
    return quick is not None


@pytest.mark.parametrize(
    "text",
    [
        "intercept msr 0xc0000080 write", "intercept io 0x3f8..0x3ff", "allow io 96 .. 0x64\tinout", "deny msr IA32_PAT",
        "a1: intercept msr IA32_EFER..IA32_LSTAR rw", "intercept io 0x60 out -> count , passthrough",
        "intercept io 18446744073709551615", "intercept io 0xffffffffffffffff->drop", "intercept io 0",
        "intercept io 0x70 width 1", "a: deny io COM1 out\twidth\t4->drop", "intercept msr 1..2 read width 9 -> count, exit",
    ],
)  # fmt: skip
def test_a_plain_rule_is_read_the_quick_way(text: str) -> None:
    # 18446744073709551615 has more digits than the pattern takes: the grammar reads it.
    assert agree(text) == (text != "intercept io 18446744073709551615")


@pytest.mark.parametrize(
    "clause",
    [
        "width", "width1", "width 0", "width 16", "width 0x4", "width 1,", "width 1, 2", "width 1 2", "width 007", "width 0x", "width 0b1", "width 1_0", "width in", "width A",
        "width (1)", "width 1 | 2", "width 1 width 2", "width 1 in", "width 1 when cpl == 0", "width 1 on vcpu 0", "width\\\n1",
        "width 1 # 2", "width # 2", "width\f1", "width\u00a01", "width ١", "width 99999999999999999999", "width 0x10000000000000000",
    ],
)  # fmt: skip
def test_what_is_more_than_one_width_is_left_to_the_grammar(clause: str) -> None:
    assert not agree(f"intercept io 0x10 out {clause}")
    assert not agree(f"intercept io 0x10 {clause} -> drop")


WORDS = (
    "intercept", "allow", "deny", "override", "msr", "io", "in", "out", "inout", "read", "write", "rw", "a", "x_1", "IA32_PAT",
    "`in`", "0", "7", "007", "0x", "0x1", "0X1", "0x1_0", "1_0", "1h", "0b1", "0xffffffffffffffff", "0x10000000000000000",
    "9999999999999999999", "18446744073709551616", "..", ".", ":", "->", ",", "{", "}", "except", "width", "when", "value",
    "count", "drop", "passthrough", "exit", "log(rate=1)", "#", "\\\n", "é", "١", "0x١",
)  # fmt: skip
BLANKS = ("", " ", "  ", "\t", "\f", "\u00a0")
PLAIN = st.tuples(
    st.sampled_from(["", "a:", "in :", "x_1 : "]),
    st.sampled_from(["intercept", "allow", "deny"]),
    st.sampled_from(["msr", "io"]),
    st.sampled_from(WORDS),
    st.sampled_from(["", "..", " .. "]),
    st.sampled_from(["", *WORDS]),
    st.sampled_from(["", "in", "out", "inout", "read", "write", "rw"]),
    st.sampled_from(
        ["", "width 1", "width\t4", "width 0x4", "width 007", "width 1, 2", "width in", "width1", "width #"]
    ),
    st.sampled_from(["", "->", " -> drop", "-> count,drop", "-> exit , in", "->1"]),
)


@settings(deadline=None, max_examples=400)
@given(PLAIN, st.lists(st.sampled_from(BLANKS), min_size=9, max_size=9))
@example(("", "intercept", "io", "0x1", "..", "0x2", "in", "width 2", "->drop"), [" "] * 9)
def test_what_is_nearly_a_plain_rule_is_read_as_the_grammar_reads_it(words: tuple[str, ...], blanks: list[str]) -> None:
    agree("".join(word + blank for word, blank in zip(words, blanks, strict=True)).strip(" \t\f"))


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(WORDS), max_size=9), st.sampled_from(BLANKS[1:]))
def test_any_words_are_read_as_the_grammar_reads_them(words: list[str], blank: str) -> None:
    agree(blank.join(words))


@pytest.mark.parametrize("kind", KINDS)
def test_large_policies_are_mostly_plain_rules_and_read_alike(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("x.pol", KINDS[kind](600))
    with_it, wrong = parse_file(source)
    plain_ones = sum(plain.rule(source, each.span.start, each.span.end, ()) is not None for each in with_it.statements)
    monkeypatch.setattr(plain, "rule", lambda *_: None)
    without_it, _ = parse_file(source)
    assert not wrong
    assert with_it == without_it
    assert plain_ones > len(re.findall(r"(?m)^\s*(?:\w+:\s*)?intercept", source.text)) * 0.6
