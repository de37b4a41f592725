"""Whatever the bytes: a located diagnostic, soon, and in little memory; never an exception but PolicyError."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import policyc
from policyc.syntax import _tables
from policyc.vocabulary.codes import CODES
from policyc.vocabulary.diagnostic import Diagnostic
from tests.semantics.frontend import FILES, HEAD, database, front, told

WORDS = [
    *(word for word in _tables.KEYWORDS), "0x10", "0x3f8", "378", "0xG", "007", "99999999999999999999", "IA32_EFER", "COM1",
    "IA32_PMC", "A", "B", "serial", "forward", "inject", "gp", "mask", "kill", "log", "count", "drop", "->", "=>", "==", "=",
    "!=", "<", "<=", "<<", "|", "&", "+", "~", "..", "(", ")", "[", "]", "{", "}", ",", ":", ".", "`in`", '"std/x.pol"', '"b.pol"',
    "-", ";", "#", "# policyc: ignore[S409]", "\\\n", "\n", "\n", "\n", "\r\n", "\t", "\uff11", "\u2026", "\"", "`", "'",
]  # fmt: skip


def sound(found: list[Diagnostic]) -> None:
    """What holds of every diagnostic: a known code, a place inside its text, no more than two notes and helps."""
    for each in found:
        assert each.code in CODES
        assert each.message
        assert each.primary is not None
        span = each.primary.span
        assert 0 <= span.start <= span.end <= max(1, len(span.source.text))
        assert span.line >= 1
        assert span.column >= 1
        assert len(each.notes) <= 2
        assert len(each.helps) <= 2
        for fix in each.fixes:
            assert all(0 <= edit.span.start <= edit.span.end <= len(edit.span.source.text) for edit in fix.edits)
    keys = [each.sort_key() for each in found]
    assert keys == sorted(keys)


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join))
@example("profile a {")
@example('test "t" { rdmsr 0x10 => kill }')
@example("let msr A = { A[0x10..`in`] }")
def test_soups_of_words_are_refused_or_read(text: str) -> None:
    sound(front(HEAD + text, FILES)[1])


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    sound(front(data)[1])


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=80))
def test_any_text_is_refused_or_read(text: str) -> None:
    sound(front(HEAD + text.encode("utf-8", "replace").decode())[1])


RIGHT = """\
language 1
target vmx, svm
import "b.pol" as b
let msr A = { 0x10, 0x20..0x2f }
let const RO = 0x400 | 1
default exit -> log, drop
efer: override intercept msr IA32_EFER write -> log, mask(and=~RO)
intercept io 0xcf8 len 8 out width 4 when value & 0x80000000 != 0 -> forward(vpci)
allow msr A except 0x10 read on vcpu 0..3
profile run extends late {
    deny msr 0x1d9 write
    never allow msr 0x3a write
}
profile late {
    assert intercepted msr 0x1d9 write
}
test "t" {
    out 0x64 value 0xfe => exit
    wrmsr 0x1d9 profile run on vcpu 2 => inject(gp)
}
"""


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(RIGHT)), st.integers(0, 12), st.text(st.sampled_from(' 0x{}()[]",.-=>#\n&~ae`'), max_size=4))
def test_a_slip_of_the_hand_is_told_and_nothing_breaks(at: int, length: int, put: str) -> None:
    found = front(RIGHT[:at] + put + RIGHT[at + length :], FILES)[1]
    sound(found)
    assert len(found) <= 12


def test_the_text_without_a_slip_is_right() -> None:
    assert told(RIGHT, FILES) == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_positions_do_not_depend_on_line_ends(end: str) -> None:
    text = HEAD + "intercept msr {\n    0x10,\n    0xG1 }\n\tintercept io 0x80 write\n"
    assert [(each.code, each.at) for each in told(text.replace("\n", end))] == [("E011", "5:5"), ("E051", "6:20")]
    assert told("\ufeff" + text.replace("\n", end)) == told(text)


def test_a_missing_last_line_end_changes_nothing() -> None:
    assert told(HEAD + "intercept io") == told(HEAD + "intercept io\n")


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, object]]:
    """Each hostile input in one process of its own."""
    root = str(Path(policyc.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-m", "tests.semantics.hostile_inputs"],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {each["name"]: each for each in map(json.loads, done.stdout.splitlines())}


def test_every_hostile_input_ends_in_reports_of_the_right_code(measured: dict[str, dict[str, object]]) -> None:
    from tests.semantics.hostile_inputs import INPUTS

    assert {name: each["codes"] for name, each in measured.items()} == {name: codes for name, codes, _ in INPUTS}
    assert max(int(str(each["count"])) for each in measured.values()) <= 202


def test_no_hostile_input_takes_long(measured: dict[str, dict[str, object]]) -> None:
    slow = {name: each["seconds"] for name, each in measured.items() if float(str(each["seconds"])) > 2}
    assert slow == {}


def test_no_hostile_input_takes_much_memory(measured: dict[str, dict[str, object]]) -> None:
    large = {name: each["megabytes"] for name, each in measured.items() if int(str(each["megabytes"])) > 300}
    assert large == {}


def test_the_database_is_the_real_one() -> None:
    assert database().names > 1000
