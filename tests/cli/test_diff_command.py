"""`diff` tells a reviewer what a change opens, first and in red, whatever the form asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from policyc.cli import frame
from tests.cli.sample import TEXT, line_of, write

Captured = pytest.CaptureFixture[str]


def diffed(capsys: Captured, *words: str, status: int = 1) -> str:
    assert frame.run(["diff", *words]) == status
    out, err = capsys.readouterr()
    assert err == ""
    return out


def fields(capsys: Captured, *words: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(diffed(capsys, *words, "--format", "json"))
    assert document["format_version"] == 1
    return document


def altered(folder: Path, *changes: tuple[str, str]) -> str:
    text = TEXT
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path = folder / "new.pol"
    path.write_text(text)
    return str(path)


OPENED = ("intercept io 0x64 out -> kill\n", "")
CLOSED = ("{ 0x1b, 0x3a }", "{ 0x1b, 0x3a, 0x79 }")


def test_what_opens_stands_first_and_in_red(tmp_path: Path, capsys: Captured) -> None:
    old, new = write(tmp_path), altered(tmp_path, OPENED, CLOSED)
    out = diffed(capsys, old, new, "--color", "always")
    assert out.splitlines()[0] == "\x1b[1;31mopens 1 port for out\x1b[0m"
    assert out.index("opens") < out.index("closes 1 MSR for read and write")


def test_both_sides_are_named_with_their_lines(tmp_path: Path, capsys: Captured) -> None:
    old, new = write(tmp_path), altered(tmp_path, OPENED)
    lines = diffed(capsys, old, new).splitlines()
    assert lines[1].split() == ["out", "0x64", "KBC_COMMAND"]
    assert lines[2].split(None, 2) == ["-", "kill", f"{old}:{line_of('0x64')}  intercept io 0x64 out -> kill"]
    assert lines[3].split(None, 2) == [
        "+",
        "passthrough",
        f"{new}:{line_of('default passthrough')}  default passthrough",
    ]


def test_the_same_in_other_words_is_no_difference(tmp_path: Path, capsys: Captured) -> None:
    other = altered(
        tmp_path,
        ("intercept io 0x3f8..0x3ff\n", "# serial\nintercept io { 0x3fc..0x3ff,\n  0x3f8 len 4 }\n"),
        ("mask(and=~EFER_RO)", "mask(and=0xfffffffffffffaff)"),
        ("value & 0x80000000 != 0", "value & 0x80000000 == 0x80000000"),
    )
    old = write(tmp_path)
    assert diffed(capsys, old, other, "--exit-code", status=0) == "no difference\n"
    assert json.loads(diffed(capsys, old, other, "--format", "json", status=0))["same"] is True
    assert "No difference." in diffed(capsys, old, other, "--format", "markdown", status=0)


def test_json_has_addresses_names_rules_and_an_example(tmp_path: Path, capsys: Captured) -> None:
    old = write(tmp_path)
    new = altered(tmp_path, ("when value & 0x80000000 != 0", "when value & 0x80000000 == 0"))
    got = fields(capsys, old, new)
    assert got["opens"]["summary"] == "opens 8 ports for out"
    (item,) = got["opens"]["differences"]
    line = line_of("0xcf8")
    assert (item["access"], item["ranges"], item["count"], item["names"]) == (
        "out width 4",
        [[0xCF8, 0xCFF]],
        8,
        ["PCI_CONFIG"],
    )
    assert item["old"][0]["does"] == "forward(vpci) if value & 0x80000000 != 0x0"
    assert item["old"][0]["rule"] == {"file": old, "line": line}
    example = item["example"]
    assert (example["kind"], example["address"], example["value"]) == ("out", 0xCF8, 0x80000000)
    assert (example["old"], example["new"]) == ("forward(vpci)", "passthrough")
    assert [each["example"]["value"] for each in got["closes"]["differences"]] == [0]


def test_a_profile_that_loses_a_rule_is_named(tmp_path: Path, capsys: Captured) -> None:
    old, new = write(tmp_path), altered(tmp_path, ("    deny msr IA32_DEBUGCTL write\n", "    deny msr 0x79 write\n"))
    out = diffed(capsys, old, new)
    assert "[only under profile hardened]" in out
    assert diffed(capsys, old, new, "--profile", "hardened").count("[") == 0
    gone = altered(tmp_path, ("profile hardened", "profile other"))
    assert diffed(capsys, old, gone).splitlines()[:2] == [
        "profile other is new; it is compared with the old base policy",
        "profile hardened is gone",
    ]


def test_vcpus_are_named(tmp_path: Path, capsys: Captured) -> None:
    new = altered(tmp_path, ("intercept io 0x70 len 2 out on vcpu 0 -> count\n", ""))
    assert "[on vCPUs 0]" in diffed(capsys, write(tmp_path), new)


def test_the_risk_line_says_what_the_database_knows(tmp_path: Path, capsys: Captured) -> None:
    new = altered(tmp_path, ("{ 0x1b, 0x3a }", "{ 0x1b, 0x79 }"))
    last = diffed(capsys, write(tmp_path), new, "--risk").splitlines()[-1]
    assert last == "risk: changes what the host relies on (IA32_FEATURE_CONTROL)"
    reads = altered(tmp_path, ("{ 0x1b, 0x3a } rw", "{ 0x1b, 0x3a } write"))
    last = diffed(capsys, write(tmp_path), reads, "--risk").splitlines()[-1]
    assert last == "risk: nothing that opens is tagged in the database"


def test_exit_codes_follow_fail_on(tmp_path: Path, capsys: Captured) -> None:
    old, closed, opened = write(tmp_path), altered(tmp_path, CLOSED), str(tmp_path / "opened.pol")
    Path(opened).write_text(TEXT.replace(*OPENED))
    for words, status in (
        ((old, closed), 1),
        ((old, closed, "--fail-on", "opens"), 0),
        ((old, opened, "--fail-on", "opens"), 1),
        ((old, opened, "--fail-on", "never"), 0),
        ((old, opened, "--fail-on", "never", "--exit-code"), 1),
        ((old, old), 0),
    ):
        diffed(capsys, *words, status=status)


def test_markdown_takes_nothing_of_a_policy_for_markup(tmp_path: Path, capsys: Captured) -> None:
    new = tmp_path / "a|b`<b>*.pol"
    new.write_text(TEXT.replace(*OPENED).replace("default passthrough", "default passthrough  # ok"))
    out = diffed(capsys, write(tmp_path), str(new), "--format", "markdown")
    tags = set(re.findall(r"<[^>]*>", out))
    assert tags == {"<code>", "</code>", "<br>"}
    assert "`" not in out
    for row in [line for line in out.splitlines() if line.startswith("|")]:
        assert row.count("|") == 5


def test_a_policy_that_contradicts_itself_is_not_compared(tmp_path: Path, capsys: Captured) -> None:
    new = altered(
        tmp_path, ("intercept io 0x64 out -> kill\n", "intercept io 0x64 out -> kill\nintercept io 0x64 -> drop\n")
    )
    assert frame.run(["diff", write(tmp_path), new]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "E201" in err


def test_standard_input_is_one_side(tmp_path: Path, capsys: Captured) -> None:
    assert frame.run(["diff", "-", "-"]) == 2
    assert "standard input can be read once" in capsys.readouterr().err
