"""What a user is told where a statement cannot be read: one line of the table for every hint of policyc.syntax.errors."""

from __future__ import annotations

import re

import pytest

from policyc.syntax import _tables
from policyc.syntax.errors import HINTS
from policyc.syntax.parser import parse
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.span import Source

CASES: list[tuple[str, str, str, str, str]] = [
    ('intercept msr { 0x10 0x11 }', '1:22', 'a comma is missing between `0x10` and `0x11`', 'write 0x10, 0x11', ','),
    ('intercept msr { IA32_STAR, IA32_LSTAR IA32_FMASK } write', '1:39', 'a comma is missing between `IA32_LSTAR` and `IA32_FMASK`', 'write IA32_LSTAR, IA32_FMASK', ','),
    ('intercept io { 0x3f8, msr 0x10 }', '1:23', '`msr` stands before the braces, not in them', 'a set holds MSRs or ports, never both: write a statement for `msr`', ''),
    ('block io 0x60', '1:1', '`block` is not a statement', 'say `deny` | for ports, which raise no #GP: `intercept io ... -> drop`', ''),
    ('intercept msr 0x10 -> mask(and=1 or=2)', '1:34', 'a comma is missing between `1` and `or`', 'write 1, or', ','),
    ('let msr X == 0x10', '1:11', 'a definition is written with `=`', 'write =', '='),
    ('intercept io 0x64 out when value = 1', '1:34', 'a comparison is written with `==`', 'write ==', '=='),
    ('assert action msr 0x10 read = kill', '1:29', 'a comparison is written with `==`', 'write ==', '=='),
    ('intercept io 0x60 inb', '1:19', '`inb` is not an access word', 'say `in` | for accesses of 1 byte only: `in width 1`', 'in'),
    ('intercept io 0x60 outl', '1:19', '`outl` is not an access word', 'say `out` | for accesses of 4 bytes only: `out width 4`', 'out'),
    ('intercept msr 0x10 rdmsr', '1:20', '`rdmsr` is not an access word', 'say `read`', 'read'),
    ('intercept msr 0x10 wrte', '1:20', '`wrte` is not an access word', 'say `write`', 'write'),
    ('intercept io 0x3f8-0x3ff', '1:19', 'a range is written with `..`, not `-`', 'write 0x3f8..0x3ff', '..'),
    ('intercept io 0x3f8 - 0x3ff -> kill', '1:20', 'a range is written with `..`, not `-`', 'write 0x3f8..0x3ff', '..'),
    ('intercept io 0x3f8–0x3ff', '1:19', 'a range is written with `..`, not `-`', 'write 0x3f8..0x3ff', '..'),
    ('intercept io 0x3f8…0x3ff', '1:19', '`…` (U+2026) is not `..`', 'write `..`', '..'),
    ('intercept io 0x3f8...0x3ff', '1:21', 'a range is written with two dots', 'both ends belong to it: 0x3f8..0x3ff', ''),
    ('intercept io 0x3f8..=0x3ff', '1:21', 'a range is written with two dots', 'both ends belong to it: 0x3f8..0x3ff', ''),
    ('intercept io 0x3f8:0x3ff', '1:19', 'a range is written with `..`', 'write 0x3f8..0x3ff', ''),
    ('intercept io 0x10..', '1:20', 'this range has no high end', 'a range has both ends: 0x3f8..0x3ff', ''),
    ('intercept io ..0x10', '1:14', 'this range has no low end', 'a range has both ends: 0x3f8..0x3ff', ''),
    ('intercept io 0x60..0x64..0x68', '1:24', '`..` does not fit here', 'expected the end of the line, an access word, `->`, `except`, `on`, `when` or `width`', ''),
    ('intercept io 0x60 len 2 len 3', '1:25', '`len` does not fit here', 'expected the end of the line, an access word, `->`, `except`, `on`, `when` or `width`', ''),
    ('intercept io COM1 + 4 len 2', '1:23', 'a calculation beside `len` stands in parentheses', 'write (BASE + 4) len 2', ''),
    ('intercept io 0x600..BASE + 4 -> kill', '1:26', 'a calculation beside `..` or `len` stands in parentheses', 'write 0x600..(BASE + 4)', ''),
    ('let const A = 2 * 3', '1:17', '`*` is not an operator here', 'numbers are joined by |, &, + and <<, and `~` before one', ''),
    ('intercept msr 0x10 -> shadow(init=-1)', '1:35', 'numbers have no sign', 'write ~0 for all ones, ~0 << 4 for all but the lowest four', ''),
    ('intercept msr "IA32_EFER"', '1:15', 'names stand without quotes', 'write IA32_EFER', 'IA32_EFER'),
    ('intercept msr 0x10 when cpl == 0 or cpl == 3', '1:34', 'conditions are not joined by `or`', 'write a second rule', ''),
    ('intercept msr 0x10 when cpl == 0 && value == 3', '1:35', 'conditions are joined by `and`', 'write and', ''),
    ('frobnicate io 0x10', '1:1', '`frobnicate` is not a statement', 'a statement begins with intercept, allow, deny, default, let, import, profile, assert, never, test or target', ''),
    ('intercpt io 0x10', '1:1', '`intercpt` is not a statement', 'did you mean `intercept`?', 'intercept'),
    ('trap io 0x10', '1:1', '`trap` is not a statement', 'say `intercept`', ''),
    ('include "std/serial.pol"', '1:1', '`include` is not a statement', 'say `import`', ''),
    ('0x3f8 out', '1:1', 'a statement cannot begin with `0x3f8`', 'begin with a word such as intercept, allow, let', ''),
    ('rdmsr 0x10 => exit', '1:1', '`rdmsr` stands in a `test` block only', 'write: test "name" { ... }', ''),
    ('profile run', '1:1', '`profile` needs a block in braces', 'begin like this: profile run {', ''),
    ('test "boot"', '1:1', '`test` needs a block in braces', 'begin like this: test "what it shows" {', ''),
    ('intercept mrs 0x10', '1:11', '`mrs` is not `msr` or `io`', 'say `msr`', 'msr'),
    ('intercept port 0x60', '1:11', '`port` is not `msr` or `io`', 'say `io`', 'io'),
    ('intercept 0x10', '1:11', '`intercept` does not say whether MSRs or ports are meant', 'say `intercept msr` or `intercept io`', ''),
    ('intercept', '1:10', '`intercept` does not say whether MSRs or ports are meant', 'say `intercept msr` or `intercept io`', ''),
    ('let X = 0x10', '1:5', '`let X` does not say what it names', 'write let msr X, let io X or let const X', ''),
    ('default allow', '1:9', '`allow` is not a default', 'say `passthrough`', 'passthrough'),
    ('default deny', '1:9', '`deny` is not a default', 'say `exit`', 'exit'),
    ('default', '1:8', 'the default is missing', 'say `default passthrough` or `default exit`', ''),
    ('default msr drop', '1:13', '`drop` is not a default', 'say `exit -> drop`', 'exit -> drop'),
    ('intercept io', '1:13', 'the statement ends too early after `io`', 'expected a name, a number or `{`', ''),
    ('intercept io 0x10 ->', '1:21', '`->` names no action', 'actions are log, count, trace, exit, passthrough, const, mask, shadow, drop, inject, forward, notify, kill', ''),
    ('intercept io 0x10 => kill', '1:19', 'actions follow `->`', 'write ->', '->'),
    ('intercept io 0x10 : kill', '1:19', 'actions follow `->`', 'write ->', '->'),
    ('intercept io 0x10 - > kill', '1:19', '`->` is one word', 'write ->', ''),
    ('intercept io 0x10 kill', '1:19', 'the action `kill` needs `->` before it', 'write -> kill', '-> kill'),
    ('default exit kill', '1:14', 'the action `kill` needs `->` before it', 'write -> kill', '-> kill'),
    ('intercept io 0x10 // serial', '1:19', '`//` does not start a comment', 'comments start with `#`', ''),
    ('intercept io 0x10 ; serial', '1:19', '`;` does not start a comment', 'comments start with `#`', ''),
    ('intercept io 0x10;', '1:18', 'a statement ends with its line, not with `;`', 'delete the `;`', ''),
    ('intercept io 0x10 -> log; kill', '1:25', 'a statement ends with its line, not with `;`', 'begin a new line here', ''),
    ('intercept io [0x10, 0x11]', '1:14', 'a set is written in braces', 'write { ... }', ''),
    ('intercept io (0x10, 0x11)', '1:19', 'a set is written in braces', 'write { ... }', ''),
    ('intercept io 0x10, 0x11', '1:18', 'several addresses stand in braces', 'write { 0x10, ... }', ''),
    ('intercept msr { 0x10, { 0x11 } }', '1:23', 'a set cannot hold another in braces', 'sets are flat: leave the inner braces out, or name it with `let`', ''),
    ('intercept io 0x10 read write', '1:24', '`read` and `write` in one rule', 'for both directions say `rw`, or nothing', ''),
    ('intercept io 0x10 on vcpu 0 out', '1:29', '`out` comes too late in this statement', 'the order is: intercept msr|io ADDRESSES [except ADDRESSES] [read|write|in|out] [width N] [when ...] [on vcpu N] [-> ACTIONS]', ''),
    ('intercept io 0x10 width 1 out', '1:27', '`out` comes too late in this statement', 'the order is: intercept msr|io ADDRESSES [except ADDRESSES] [read|write|in|out] [width N] [when ...] [on vcpu N] [-> ACTIONS]', ''),
    ('intercept io 0x10 width 1 width 2', '1:27', '`width` is given twice in this statement', 'the order is: intercept msr|io ADDRESSES [except ADDRESSES] [read|write|in|out] [width N] [when ...] [on vcpu N] [-> ACTIONS]', ''),
    ('import std/serial.pol', '1:8', 'the text after `import` stands in quotes', 'write "std/serial.pol"', '"std/serial.pol"'),
    ('import', '1:7', '`import` needs a text in quotes', 'write import "..."', ''),
    ('test boot {}', '1:6', 'the text after `test` stands in quotes', 'write "boot"', '"boot"'),
    ('import "std/serial.pol', '1:8', 'this `"` is never closed', 'add the closing "', ''),
    ("import 'std/serial.pol'", '1:8', 'text stands in double quotes', 'write "..."', ''),
    ('import "a\\qb.pol"', '1:8', 'this text cannot be read', 'inside quotes, write \\" for a quote and \\\\ for a backslash', ''),
    ('let io `in-put` = 0x10', '1:8', 'a name has letters, digits and `_`, and no digit first', 'choose such a name', ''),
    ('let io `in = 0x10', '1:8', 'this ``` is never closed', 'add the closing `', ''),
    ('let io in = 0x10', '1:8', '`in` is a reserved word and cannot be a name', 'put it in backquotes: `in`', '`in`'),
    ('intercept msr in', '1:15', '`in` is a reserved word and cannot be a name', 'put it in backquotes: `in`', '`in`'),
    ('a intercept msr 0x10', '1:1', 'the label `a` needs a `:`', 'write a: intercept ...', 'a:'),
    ('a: b: intercept msr 0x10', '1:4', '`b` does not fit here', 'expected `allow`, `deny`, `intercept` or `override`', ''),
    ('override msr 0x10', '1:10', '`msr` does not fit here', 'expected `allow`, `deny` or `intercept`', ''),
    ('never msr 0x10', '1:7', '`never` goes with `allow`', 'write never allow msr ...', ''),
    ('assert msr 0x10', '1:8', 'an assertion says what it asserts', 'write assert intercepted msr ...', ''),
    ('assert intercepted 0x10', '1:20', '`intercepted` does not say whether MSRs or ports are meant', 'say `intercepted msr` or `intercepted io`', ''),
    ('assert action msr 0x10 read', '1:28', 'the statement ends too early after `read`', 'expected `==` or `width`', ''),
    ('intercept msr １０', '1:15', '`１０` is in full-width characters', 'write `10`', '10'),
    ('intercept msr 0x10 −> kill', '1:20', '`−` (U+2212) is not `-`', 'write `-`', '-'),
    ('intercept msr é', '1:15', '`é` (U+00E9) is not a character of the language', 'outside comments, text is ASCII', ''),
    ('intercept msr @10', '1:15', '`@` does not fit here', 'expected a name, a number or `{`', ''),
    ('intercept msr { 0x10, 0x11', '1:15', 'this `{` is never closed', 'add `}`', ''),
    ('}', '1:1', 'this `}` closes nothing', 'delete it', ''),
    ('profile run {', '1:13', 'this `{` is never closed', 'add `}`', ''),
    ('INTERCEPT MSR 0x10', '1:1', '`INTERCEPT` is not a statement', 'did you mean `intercept`?', 'intercept'),
    ('intercept io 0x64 out when value', '1:33', 'the statement ends too early after `value`', 'expected a comparison', ''),
    ('intercept msr 0x10 on 3', '1:23', '`3` does not fit here', 'expected `vcpu`', ''),
    ('test "t" {\n    intercept msr 0x10\n}', '2:5', '`intercept` is not an access', 'a test holds lines such as: rdmsr 0x10 => exit', ''),
    ('profile run {\n    let msr A = 0x10\n}', '2:5', '`let` cannot stand in a `profile` block', 'a profile holds rules, defaults, assertions and `never allow`', ''),
    ('profile run {\n    rdmsr 0x10 => exit\n}', '2:5', '`rdmsr` stands in a `test` block only', 'write: test "name" { ... }', ''),
    ('test "t" {\n    rdmsr 0x10 -> exit\n}', '2:16', "a test's outcome follows `=>`", 'write =>', '=>'),
    ('test "t" {\n    rdmsr 0x10\n}', '2:15', 'the outcome is missing', 'write => exit, or another action', ''),
    ('test "t" {\n    out 0x60 width 1 width 2 => exit\n}', '2:22', '`width` is given twice', 'a case has one of each', ''),
    ('profile a {\n    profile b {\n    }\n}', '2:5', 'a block cannot stand in a `profile` block', 'a profile holds rules, defaults, assertions and `never allow`', ''),
]  # fmt: skip
"""Text, line:column, message, helps, and what the (first) fix writes."""


def read(text: str) -> list[Diagnostic]:
    return parse(Source("vm.pol", text))[1]


@pytest.mark.parametrize(("text", "at", "message", "remedy", "fix"), CASES, ids=[case[0] for case in CASES])
def test_an_unreadable_statement_is_told_once(text: str, at: str, message: str, remedy: str, fix: str) -> None:
    (found,) = read(text)
    assert found.code == "E001"
    assert found.primary is not None
    assert f"{found.primary.span.line}:{found.primary.span.column}" == at
    assert (found.message, " | ".join(found.helps)) == (message, remedy)
    assert (found.fixes[0].edits[0].text if found.fixes else "") == fix


@pytest.mark.parametrize("case", [case for case in CASES if case[4]], ids=lambda case: case[0])
def test_a_fix_marked_safe_makes_the_statement_readable(case: tuple[str, str, str, str, str]) -> None:
    text = case[0]
    (found,) = read(text)
    if not found.fixes[0].safe:
        return
    for edit in sorted(found.fixes[0].edits, key=lambda each: -each.span.start):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    assert read(text) == [], text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_no_word_of_the_grammar_reaches_the_user(case: tuple[str, str, str, str, str]) -> None:
    (found,) = read(case[0])
    said = " ".join((found.message, *found.helps, *found.notes, found.primary.text if found.primary else ""))
    grammar = {kind for row in _tables.STATES for kind in row if kind.isupper() and len(kind) > 2} | {"__ANON", "$END"}
    assert not [word for word in re.findall(r"[_$A-Z]{4,}", said) if word in grammar]


@pytest.mark.parametrize("hint", HINTS, ids=lambda hint: hint.__name__)
def test_every_hint_is_needed_by_some_case(hint: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from policyc.syntax import errors

    before = [[(each.message, each.helps) for each in read(case[0])] for case in CASES]
    monkeypatch.setattr(errors, "HINTS", tuple(each for each in HINTS if each is not hint))
    assert [[(each.message, each.helps) for each in read(case[0])] for case in CASES] != before
