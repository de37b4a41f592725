"""The grammar is LALR(1) without conflicts, and the tables in the package are those that lark makes of it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Token, Tree
from lark.exceptions import UnexpectedInput

from policyc.syntax import _tables, generate
from policyc.syntax.lalr import Unexpected, parse, reducers
from policyc.syntax.tree import Word
from policyc.vocabulary.span import Source

STATEMENTS = [
    ("statement", "intercept msr 0xc0000080 write"),
    ("statement", "intercept io 0x3f8..0x3ff"),
    ("statement", "efer: override intercept msr IA32_EFER write -> log, mask(and=~EFER_RO)"),
    ("statement", "allow msr { 0x10, A..B, C len 2, m.D, IA32_PMC[0..3], } except { (1 | 2) } rw on vcpu { 0, 2..3 }"),
    ("statement", "intercept io 0xcf8 len 8 out width 1, 4 when value & 0x80 != 0 and cpl == 0 -> forward(vpci)"),
    ("statement", "let msr A = {}"),
    ("statement", "let const X = 1 << 2 | ~3 + (4 & `in`)"),
    ("statement", "default msr outside -> inject(gp)"),
    ("statement", "default passthrough"),
    ("statement", 'import "std/serial.pol" as serial'),
    ("statement", "target vmx, kvm"),
    ("statement", "language 1"),
    ("statement", "assert not intercepted msr IA32_PMC[2]"),
    ("statement", "assert action io 0x64 out width 1 == kill"),
    ("statement", "never allow msr VMX write"),
    ("profile_head", "profile a extends b, c {"),
    ("test_head", 'test "x" {'),
    ("case", "wrmsr 0x3a value 0x5 on vcpu 1 profile late cpl 3 => exit"),
]


def test_the_tables_are_those_of_the_grammar() -> None:
    path = Path(_tables.__file__)
    assert path.read_text(encoding="utf-8") == generate.tables()


def test_lark_finds_no_conflict_and_no_colliding_terminals() -> None:
    pytest.importorskip("interegular", reason="lark's strict mode needs it")
    generate.build()


class Generic:
    """Makes (rule, children) of every rule, so that two parsers can be compared."""

    def __getattr__(self, name: str) -> Any:
        return lambda *children: (name, [each.text if hasattr(each, "text") else each for each in children])


def as_generic(value: Any) -> Any:
    if isinstance(value, Token):
        return str(value)
    if isinstance(value, Tree):
        return (str(value.data), [as_generic(each) for each in value.children])
    return value


TOKENS = sorted(
    {
        word
        for _, text in STATEMENTS
        for word in re.findall(r"[A-Za-z_]\w*|\d\w*|`\w+`|\"[^\"]*\"|\.\.|[-=]>|[=!<>]=|<<|\S", text)
    }
)


@cache
def theirs() -> Any:
    return generate.build()


def accepted_by_both(symbol: str, text: str) -> tuple[bool, bool]:
    ours = lark = True
    try:
        parse(Source("x.pol", text), 0, len(text), symbol, reducers(Generic()))
    except Unexpected:
        ours = False
    try:
        theirs().parse(text, start=symbol)
    except UnexpectedInput:
        lark = False
    return ours, lark


@settings(deadline=None, max_examples=500)
@given(
    st.sampled_from(["statement", "case", "profile_head", "test_head"]), st.lists(st.sampled_from(TOKENS), max_size=8)
)
def test_our_driver_accepts_what_lark_accepts_of_any_words(symbol: str, words: list[str]) -> None:
    ours, lark = accepted_by_both(symbol, " ".join(words))
    assert ours == lark


@settings(deadline=None, max_examples=500)
@given(st.sampled_from(STATEMENTS), st.data())
def test_our_driver_accepts_what_lark_accepts_of_statements_with_a_word_changed(
    statement: tuple[str, str], data: st.DataObject
) -> None:
    symbol, text = statement
    words = re.findall(r"[A-Za-z_]\w*|\d\w*|`\w+`|\"[^\"]*\"|\.\.|[-=]>|[=!<>]=|<<|\S", text)
    at = data.draw(st.integers(0, len(words) - 1))
    put = data.draw(st.lists(st.sampled_from(TOKENS), max_size=2))
    ours, lark = accepted_by_both(symbol, " ".join([*words[:at], *put, *words[at + 1 :]]))
    assert ours == lark


@pytest.mark.parametrize(("symbol", "text"), STATEMENTS, ids=[text for _, text in STATEMENTS])
def test_our_driver_reads_what_lark_reads(symbol: str, text: str) -> None:
    source = Source("x.pol", text)
    ours = parse(source, 0, len(text), symbol, reducers(Generic()))
    theirs = as_generic(generate.build().parse(text, start=symbol))
    assert ours == theirs


def test_a_statement_is_read_alike_however_often_its_form_was_seen_and_however_long_it_is() -> None:
    shorter, longer = ("intercept io { " + ", ".join(f"{n}" for n in range(count)) + " } out" for count in (9, 99))
    for text in (shorter, shorter.replace("1", "7"), longer, longer):
        ours = parse(Source("x.pol", text), 0, len(text), "statement", reducers(Generic()))
        assert ours == as_generic(theirs().parse(text, start="statement"))


@pytest.mark.parametrize("count", [1, 99], ids=["a form that would be kept", "a long one"])
def test_what_stands_before_a_mistake_is_read_and_nothing_behind_it(count: int) -> None:
    read = []

    class Numbers(Generic):
        def number(self, word: Word) -> str:
            read.append(word.text)
            return word.text

    text = "intercept io { " + "1, " * count + "2 3, 4 }"
    with pytest.raises(Unexpected) as caught:
        parse(Source("x.pol", text), 0, len(text), "statement", reducers(Numbers()))
    assert read == ["1"] * count
    assert (caught.value.kind, caught.value.word.text) == ("NUMBER", "3")
    assert [word.text for word in caught.value.before] == ["intercept", "io", "{", *["1", ","] * count, "2"]
