"""`policyc fmt` lays a policy out in one way: twice is once, nothing is lost, and nothing is written that says less."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policyc.cli import frame
from policyc.syntax import format as layout
from policyc.syntax.format import WIDTH, formatted, same
from policyc.syntax.parser import parse
from policyc.syntax.reader import decode
from policyc.syntax.tree import Module
from tests.growth import seconds

Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]
POLICIES = sorted([*ROOT.glob("examples/**/*.pol"), *ROOT.glob("policyc/std/*.pol")])


def module(text: str) -> Module:
    found, problems = parse(decode("x.pol", text.encode()))
    assert problems == [], text
    return found


def once(text: str) -> str:
    """The formatted text, which has been held to what fmt promises of every text."""
    before = module(text)
    out = formatted(before.source)
    assert same(before, module(out)), out
    assert formatted(module(out).source) == out
    assert words(out) == words(text)
    return out


def words(text: str) -> str:
    """Everything but blanks, commas and backslashes, in small letters and sorted: for a comment may move."""
    return "".join(sorted(re.sub(r"[\s,\\]", "", text.lower())))


STATEMENTS = [
    ("language   1", "language 1"),
    ("target vmx,svm", "target vmx, svm"),
    ('import  "std/serial.pol"   as  s', 'import "std/serial.pol" as s'),
    ("let const A=0X4_00|B<<2&(C+1)", "let const A = 0x4_00 | B << 2 & (C + 1)"),
    ("let const A = ~ 0b1010", "let const A = ~0b1010"),
    ("let const A = ~(B)", "let const A = ~(B)"),
    ("let io S={0x3F8 .. 0x3ff,s . COM2,0x60 len 4,}except{0x3f9}", "let io S = { 0x3f8..0x3ff, s.COM2, 0x60 len 4 } except { 0x3f9 }"),
    ("allow msr F [ 0 .. 3 ]", "allow msr F[0..3]"),
    ("allow msr F[A+1]", "allow msr F[A + 1]"),
    ("allow msr ( 0x10 )", "allow msr (0x10)"),
    ("allow msr {}", "allow msr {}"),
    ("default msr outside->inject( gp )", "default msr outside -> inject(gp)"),
    ("x :intercept msr 1 write->log ( rate = 10 ),mask(and=~0x1000,or = 1)", "x: intercept msr 1 write -> log(rate=10), mask(and=~0x1000, or=1)"),
    ("intercept io 1 out width 1,2 when value&4!=0 and cpl<=3 on vcpu{0,2..3}->kill", "intercept io 1 out width 1, 2 when value & 4 != 0 and cpl <= 3 on vcpu { 0, 2..3 } -> kill"),
    ("intercept io 1 width (1) when value&(A|B)==(4)->exit ()", "intercept io 1 width (1) when value & (A | B) == (4) -> exit()"),
    ("assert  not intercepted msr `in` read", "assert not intercepted msr `in` read"),
    ("assert action io 1==log,exit", "assert action io 1 == log, exit"),
    ("never  allow msr 1  rw", "never allow msr 1 rw"),
    ("allow msr 1 # why", "allow msr 1  # why"),
    ("intercept io 0x64 out \\\n  when value == 1 \\\n -> kill", "intercept io 0x64 out when value == 1 -> kill"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "wanted"), STATEMENTS)
def test_spaces_of_a_statement(written: str, wanted: str) -> None:
    assert once(written) == wanted + "\n"


BLOCKS = [
    ("profile a{allow msr 1\n}", "profile a {\n    allow msr 1\n}\n"),
    ("profile a extends b,c {\n\n\nallow msr 1 # x\n\n\n\n# y\n\n}", "profile a extends b, c {\n    allow msr 1  # x\n\n    # y\n}\n"),
    ("profile a { allow msr 1 } # end", "profile a {\n    allow msr 1\n}  # end\n"),
    ("profile a { # why {\n\n}\n", "profile a {  # why {\n}\n"),
    ("# ends in {\n\nallow msr 1", "# ends in {\n\nallow msr 1\n"),
    ("profile a {\n}\n", "profile a {}\n"),
    ('test "a  # {" {\n\tout 1 width 1 value 2=>log(rate=1),exit\nin 2=>exit }', 'test "a  # {" {\n    out 1 width 1 value 2 => log(rate=1), exit\n    in 2 => exit\n}\n'),
    ("profile a {\nallow msr {\n1}\n}", "profile a {\n    allow msr {\n        1,\n    }\n}\n"),
    ("\n\n\n# a  \n\n\n\n## b\nallow msr 1\nallow msr 2\n\n\nallow msr 3\n\n", "# a\n\n## b\nallow msr 1\nallow msr 2\n\nallow msr 3\n"),
    ("", ""),
    ("\n\n", ""),
    ("# only", "# only\n"),
    ("allow msr 1\n# at the end", "allow msr 1\n# at the end\n"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "wanted"), BLOCKS)
def test_lines_of_a_file(written: str, wanted: str) -> None:
    assert once(written) == wanted


SETS = [
    ("{ 1,\n2 }", "{\n    1,\n    2,\n}"),
    ("{\n1, 2,\n  3 }", "{\n    1, 2,\n    3,\n}"),
    ("{ # first\n1 }", "{  # first\n    1,\n}"),
    ("{\n# first\n1 }", "{\n    # first\n    1,\n}"),
    ("{ 1 # one\n, 2 # two\n}", "{\n    1,  # one\n    2,  # two\n}"),
    ("{ 1, # one\n2\n# last\n}", "{\n    1,  # one\n    2,\n    # last\n}"),
    ("{\n1\n# between\n, 2 }", "{\n    1,\n    # between\n    2,\n}"),
    ("{ 1 # a\n len # b\n 4 # c\n}", "{\n    # b\n    1 len 4,  # a\n    # c\n}"),
    ("{\n\n\n1,\n\n\n\n2,\n\n}", "{\n    1,\n\n    2,\n}"),
    ("{\n# nothing\n}", "{\n    # nothing\n}"),
    ("{ # nothing\n}", "{  # nothing\n}"),
]


@pytest.mark.parametrize(("written", "wanted"), SETS)
def test_lines_of_a_set(written: str, wanted: str) -> None:
    assert once(f"intercept msr {written} write") == f"intercept msr {wanted} write\n"


def test_a_set_that_is_too_long_is_wrapped_and_one_that_fits_is_not() -> None:
    fits = "allow msr { " + ", ".join(["IA32_X2APIC_ICR"] * 6) + " }"
    assert len(fits) <= WIDTH
    assert once(fits) == fits + "\n"
    lines = once("allow msr { " + ", ".join(["IA32_X2APIC_ICR"] * 30) + " } write").splitlines()
    assert (lines[0], lines[-1]) == ("allow msr {", "} write")
    assert max(map(len, lines)) <= WIDTH
    assert [line.count("IA32") for line in lines[1:-1]] == [6, 6, 6, 6, 6]


def test_backslashes_stay_where_a_line_would_be_too_long() -> None:
    first, second = f"intercept io {'A' * 60} out", f"when value == {'B' * 60} -> kill"
    assert once(f"{first}   \\\n{second}") == f"{first} \\\n    {second}\n"


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_other_line_ends_become_line_feeds(end: str) -> None:
    text = "# a\n\nprofile b {\n    allow msr {\n        1,  # c\n    }\n}\n"
    assert once(text.replace("\n", end)) == text


@pytest.mark.parametrize("path", POLICIES, ids=[str(path.relative_to(ROOT)) for path in POLICIES])
def test_our_own_policies_are_formatted(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert once(text) == text


@pytest.mark.parametrize("path", POLICIES[:20], ids=[str(path.relative_to(ROOT)) for path in POLICIES[:20]])
def test_our_own_policies_come_back_from_an_ugly_layout(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    code = [line.partition("#") for line in text.splitlines()]
    ugly = "\r\n".join(
        "\t" + re.sub(r" (->|=|\||&|==|!=|\{|\}) ", r"\1", before).strip() + mark + rest + "  "
        if '"' not in before
        else before + mark + rest
        for before, mark, rest in code
    )
    assert once(ugly) == text


def test_a_waiver_still_covers_its_statement() -> None:
    waiver = '# policyc: ignore[S409] reason="known"'
    one = module(f"allow msr {{ 1,\n 2 }} {waiver}\nallow msr 3")
    other = module(f"allow msr {{ 1,\n 2 }}\nallow msr 3 {waiver}")
    assert not same(one, other)
    once(one.source.text)
    once(f"{waiver}\n\n\nprofile a {{ {waiver}\nallow msr {{ 1, {waiver}\n}}\n{waiver}\n}}")


# generated statements

NAMES = st.sampled_from(["A", "IA32_EFER", "`in`", "`allow`", "_x9"])
NUMBERS = st.sampled_from(["0", "0xC000_0080", "0X1f", "0b10", "16"])
ATOMS = st.recursive(
    NAMES | NUMBERS | st.just("s.COM1"),
    lambda inner: (
        st.tuples(inner, st.sampled_from("|&+"), inner).map(lambda part: f"({part[0]}{part[1]}{part[2]})")
        | inner.map(lambda each: f"~{each}")
        | st.tuples(NAMES, inner, inner).map(lambda part: f"{part[0]}[{part[1]}..{part[2]}]")
    ),
    max_leaves=4,
)
ITEMS = ATOMS | st.tuples(ATOMS, st.sampled_from(["..", " len ", " .. "]), ATOMS).map("".join)
GAPS = st.sampled_from(["", " ", "\n", "\n\n\n", "  # note\n", "\n# own\n", "\r\n\t", "# a\n# b\n", "\\\n"])


@st.composite
def sets(draw: st.DrawFn) -> str:
    out = "{" + draw(GAPS)
    items = draw(st.lists(ITEMS, max_size=12))
    for at, item in enumerate(items):
        comma = "," if at < len(items) - 1 or draw(st.booleans()) else ""
        out += draw(GAPS) + item.replace(" len ", f" {draw(GAPS)}len ") + draw(GAPS) + comma + draw(GAPS)
    return out + "}"


ACTIONS = st.sampled_from(["log( rate=1 ),exit", "kill", "exit()", "mask(and=~ 1,or=(A|B))", "value (1)"])


@st.composite
def rules(draw: st.DrawFn) -> str:
    out = draw(st.sampled_from(["", "x :", "x: override  "])) + draw(st.sampled_from(["intercept msr ", "allow io"]))
    out += " " + draw(sets() | ITEMS)
    out += draw(st.just("") | sets().map(lambda each: f" except{each}"))
    out += draw(st.sampled_from([" ", " out ", "\\\n inout  ", " rw width 1,(2)"]))
    out += draw(st.sampled_from(["", " when value&(A)!=0", " when cpl<3 and value==A"]))
    out += draw(st.just("") | sets().map(lambda each: f" on vcpu {each}"))
    return out + draw(st.just("") | ACTIONS.map(lambda each: f"->{each}"))


@settings(max_examples=150, deadline=None)
@given(st.lists(rules() | st.sampled_from(["", "# c", "## doc", "  ", "#"]), max_size=6), st.sampled_from([0, 1, 2]))
def test_generated_policies_keep_their_meaning(lines: list[str], block: int) -> None:
    text = "\n".join(lines)
    if block:
        text = f"allow msr 1 # x\nprofile a {{{text}\n}}" + (" # end\n\n\n" if block == 2 else "\nallow io 2")
    once(text)


# the command


def run(capsys: Captured, *words: str) -> tuple[int, str, str]:
    status = frame.run(["fmt", *words])
    out, err = capsys.readouterr()
    return status, out, err


def test_a_file_is_written_in_place_with_its_mode(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "sub").mkdir()
    path, good = tmp_path / "sub" / "a.pol", tmp_path / "b.pol"
    path.write_bytes(b"language 1\r\nallow   msr IA32_EFER\r\n")
    good.write_bytes(b"language 1\n")
    path.chmod(0o640)
    before = os.stat(good).st_mtime_ns
    assert run(capsys, str(tmp_path)) == (0, "policies: 1 formatted, 1 left as it was\n", "")
    assert path.read_bytes() == b"language 1\nallow msr IA32_EFER\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.stat(good).st_mtime_ns == before
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["a.pol", "b.pol", "sub"]


def test_check_and_diff_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.pol").write_text("allow  msr 1\n")
    Path("b.pol").write_text("allow msr 1\n")
    assert run(capsys, "--check", ".") == (1, "a.pol\n", "")
    diff = "--- a.pol\n+++ a.pol\n@@ -1 +1 @@\n-allow  msr 1\n+allow msr 1\n"
    assert run(capsys, "--diff", "a.pol", "b.pol") == (1, diff, "")
    assert run(capsys, "--check", "b.pol") == (0, "", "")
    assert run(capsys, "--diff", "b.pol") == (0, "", "")
    assert Path("a.pol").read_text() == "allow  msr 1\n"


def test_standard_input_goes_to_standard_output(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"allow  msr{1}\r\n")))
    assert run(capsys, "-") == (0, "allow msr { 1 }\n", "")


def test_a_file_with_two_names_is_written_once(tmp_path: Path, capsys: Captured) -> None:
    path, link = tmp_path / "a.pol", tmp_path / "link.pol"
    path.write_bytes(b"\xef\xbb\xbfallow  msr 1 # \xc3\xa9\n")
    link.symlink_to("a.pol")
    assert run(capsys, str(tmp_path), f"{tmp_path}/./a.pol") == (0, "policies: 1 formatted\n", "")
    assert link.is_symlink()
    assert path.read_bytes() == b"\xef\xbb\xbfallow msr 1  # \xc3\xa9\n"


def test_what_cannot_be_parsed_is_told_and_left(tmp_path: Path, capsys: Captured) -> None:
    bad, good = tmp_path / "bad.pol", tmp_path / "good.pol"
    bad.write_text("allow  msr {\n")
    good.write_text("allow  msr 1\n")
    status, _, err = run(capsys, str(bad), str(good))
    assert status == 1
    assert "E001" in err
    assert bad.read_text() == "allow  msr {\n"
    assert good.read_text() == "allow msr 1\n"
    assert run(capsys, str(tmp_path / "absent.pol"))[0] == 2


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (lambda text, _: text.replace("0x10", "0x11"), "changes what it says"),
        (lambda text, _: text.replace("# why", ""), "changes what it says"),
        (lambda text, _: text + "}", "changes what it says"),
        (lambda text, before: text + "\n" * len(before), "is not formatting it once"),
    ],
)
def test_a_formatter_that_changes_anything_is_refused(
    lost: object, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert callable(lost)
    monkeypatch.setattr(layout, "formatted", lambda source: lost(formatted(source), source.text))
    path, other = tmp_path / "a.pol", tmp_path / "b.pol"
    text = "allow  msr 0x10 # why\n"
    path.write_text(text)
    other.write_text(text)
    status, _, err = run(capsys, str(other), str(path))
    assert status == 3
    assert said in err
    assert (path.read_text(), other.read_text()) == (text, text)


def test_a_policy_that_resolves_to_another_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """Even where the trees are taken for equal: the resolved policies are compared on their own."""
    monkeypatch.setattr(layout, "formatted", lambda source: formatted(source).replace("0x10", "0x11"))
    monkeypatch.setattr(layout, "same", lambda one, other: True)
    path = tmp_path / "a.pol"
    path.write_text("allow  msr 0x10\n")
    status, _, err = run(capsys, str(path))
    assert status == 3
    assert "changes what it decides" in err
    assert path.read_text() == "allow  msr 0x10\n"


def test_a_long_file_takes_seconds_at_most(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "long.pol"

    def formats() -> None:
        path.write_text("".join(f"allow  msr {{ {at},{at + 9000} }} read # {at}\n" for at in range(5000)))
        assert run(capsys, str(path))[0] == 0

    assert seconds(formats, 10) < 10
    assert path.read_text().startswith("allow msr { 0, 9000 } read  # 0\n")
