"""The grammar is LALR(1) without conflicts, and the tables in the package are those that lark makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lark import Token, Tree

from policyc.syntax import _tables, generate
from policyc.syntax.lalr import parse, reducers
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


@pytest.mark.parametrize(("symbol", "text"), STATEMENTS, ids=[text for _, text in STATEMENTS])
def test_our_driver_reads_what_lark_reads(symbol: str, text: str) -> None:
    source = Source("x.pol", text)
    ours = parse(source, 0, len(text), symbol, reducers(Generic()))
    theirs = as_generic(generate.build().parse(text, start=symbol))
    assert ours == theirs
