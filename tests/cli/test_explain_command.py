"""`explain` names the verdict, the rule and the bits. Bit positions are worked out by hand from the manuals' layouts."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from policyc.cli import frame
from tests.cli.sample import TEXT, line_of, write

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def policy(tmp_path: Path) -> str:
    return write(tmp_path)


def explained(capsys: Captured, *words: str) -> dict[str, Any]:
    assert frame.run(["explain", *words, "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    document: dict[str, Any] = json.loads(out)
    assert document["format_version"] == 1
    return document


def test_the_form_that_programs_rely_on(policy: str, capsys: Captured) -> None:
    got = explained(capsys, policy, "in", "0x3f8")
    assert {key: got["access"][key] for key in ("kind", "address", "width")} == {
        "kind": "in",
        "address": 1016,
        "width": 1,
    }
    assert (got["exits"], got["action"]) == (True, "exit")
    assert got["rule"] == {"file": policy, "line": line_of("io 0x3f8"), "label": None}
    assert got["bits"] == [{"image": "io.bin", "byte": 127, "bit": 0, "value": 1}]


@pytest.mark.parametrize(
    ("words", "exits", "actions", "line", "reason", "bits"),
    [
        # 0x80 is bit 0 of byte 16 of the write-high quarter, which begins at 3072.
        (
            ["wrmsr", "IA32_EFER"], True, "log, mask(and=0xfffffffffffffaff)", "efer:", "rule",
            [("msr.bin", 3088, 0, 1)],
        ),
        (["rdmsr", "0xc0000080"], False, "passthrough", None, "default", [("msr.bin", 1040, 0, 0)]),
        (["rdmsr", "0x4000_0000"], True, "inject(gp)", None, "outside-window", []),
        # 0x1b is 27: bits 54 and 55 of the first vector, two bits an MSR.
        (["wrmsr", "27", "--target", "svm"], True, "inject(gp)", "0x1b", "rule", [("msrpm.bin", 6, 7, 1)]),
        (["in", "0x64"], True, "passthrough", None, "shared-bit", [("io.bin", 12, 4, 1)]),
        (["in", "0x64", "--target", "kvm"], True, "passthrough", None, "shared-bit", []),
        (["out", "0x64"], True, "kill", "kill", "rule", [("io.bin", 12, 4, 1)]),
        (
            ["out", "0xcf8", "--width", "4", "--value", "0x80000000"], True, "forward(vpci)", "vpci", "rule",
            [("io.bin", 415, bit, 1) for bit in range(4)],
        ),
        (
            ["out", "0xcf8", "--width", "4", "--value", "1"], True, "passthrough", None, "shared-bit",
            [("io.bin", 415, bit, 1) for bit in range(4)],
        ),
        (["in", "0xffff", "--width", "2"], True, "exit", None, "past-last-port", [("io.bin", 8191, 7, 0)]),
        (["out", "0x70", "--vcpu", "0"], True, "count, exit", "on vcpu 0", "rule", [("io.bin", 14, 0, 1)]),
        (["out", "0x70", "--vcpu", "7"], False, "passthrough", None, "default", [("io.bin", 14, 0, 0)]),
        (["wrmsr", "0x1d9"], False, "passthrough", None, "default", [("msr.bin", 2048 + 59, 1, 0)]),
        (["wrmsr", "0x1d9", "--profile", "hardened"], True, "inject(gp)", "deny", "rule", [("msr.bin", 2107, 1, 1)]),
        (["wrmsr", "0x830", "--target", "kvm"], False, "passthrough", None, "x2apic-unfiltered", []),
    ],
)  # fmt: skip
def test_verdicts(
    words: list[str], exits: bool, actions: str, line: str | None, reason: str,
    bits: list[tuple[str, int, int, int]], policy: str, capsys: Captured,
) -> None:  # fmt: skip
    got = explained(capsys, policy, *words)
    assert (got["exits"], got["actions"], got["reason"]) == (exits, actions, reason)
    assert (got["rule"] or {}).get("line") == (None if line is None else line_of(line))
    assert [tuple(each.values()) for each in got["bits"]] == bits


def test_the_bit_of_a_kvm_filter_is_the_one_that_kvm_reads(policy: str, capsys: Captured) -> None:
    denied = explained(capsys, policy, "wrmsr", "0x1b", "--target", "kvm")
    assert denied["exits"]
    assert [each["value"] for each in denied["bits"]] == [0]
    assert denied["bits"][0]["image"] == "kvm_filter.json"


def test_rules_are_told_in_the_order_they_are_asked(policy: str, capsys: Captured) -> None:
    got = explained(capsys, policy, "wrmsr", "IA32_EFER")
    told = [((each["rule"] or {}).get("label"), each["layer"], each["says"]) for each in got["considered"]]
    assert told == [
        ("efer", "override", "decides"),
        (None, "main file", "overruled"),
        (None, "default", "overruled"),
    ]


def test_why_other_rules_do_not_count(policy: str, capsys: Captured) -> None:
    says = {each["says"] for each in explained(capsys, policy, "rdmsr", "0x1d9")["considered"]}
    assert says == {"decides", "profile"}
    says = {each["says"] for each in explained(capsys, policy, "in", "0x70")["considered"]}
    assert says == {"decides", "vcpu"}
    says = {each["says"] for each in explained(capsys, policy, "rdmsr", "0xc0000080")["considered"]}
    assert says == {"decides", "access"}


def test_the_story_shows_the_deciding_line(policy: str, capsys: Captured) -> None:
    assert frame.run(["explain", policy, "out", "KBC_COMMAND"]) == 0
    out = capsys.readouterr().out
    line = line_of("kill")
    indent = " " * min(40, len(f"{policy}:{line}"))  # A cell of the table claims at most 40 columns.
    assert (
        out
        == f"""\
out KBC_COMMAND (0x64) width 1 value 0x0 on vmx: exits -> kill
  --> {policy}:{line}:14
   |
{line} | intercept io 0x64 out -> kill
   |              ^^^^ this rule decides

the first rule that is asked and applies decides

rules that name it, in the order they are asked:
  main file  {policy}:{line}  intercept -> kill  decides
  default    {indent}  passthrough        not asked

bits:
  io.bin byte 12 (0xc), bit 4 is 1: exit
"""
    )


def test_the_story_of_a_condition(policy: str, capsys: Captured) -> None:
    assert frame.run(["explain", policy, "out", "0xcf8", "--width", "4"]) == 0
    out = capsys.readouterr().out
    assert "exits and the handler passes it on" in out
    assert "only the handler sees whether a condition holds" in out
    assert "  ports 0xcf8..0xcfb:\n" in out
    assert "its condition does not hold: value & 0x80000000 != 0x0" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rdmsr", "IA32_EFR"], "no MSR is named `IA32_EFR`\n  help: did you mean `IA32_EFER` (0xc0000080)"),
        (["in", "COM1"], "`COM1` is several: ports 0x3f8..0x3ff\n  help: name one by its number, such as 0x3f8"),
        (["in", "IA32_EFER"], "no I/O port is named `IA32_EFER`\n  help: it is an MSR: say `rdmsr` or `wrmsr`"),
        (["rdmsr", "COM1"], "no MSR is named `COM1`\n  help: it is an I/O port: say `in` or `out`"),
        (["in", "0x10000"], "I/O port 0x10000 does not exist\n  help: they end at 0xffff"),
        (["rdmsr", "0x1_0000_0000"], "MSR 0x100000000 does not exist"),
        (["in", "0x"], "ADDRESS cannot be `0x`"),
        (["rdmsr", "0x10", "--width", "4"], "--width is for in and out"),
        (["in", "0x10", "--width", "3"], "--width cannot be `3`\n  help: an IN or OUT has 1, 2 or 4 bytes"),
        (["in", "0x10", "--value", "1"], "--value is for wrmsr and out"),
        (["out", "0x10", "--value", "256"], "--value 0x100 does not fit 8 bits\n  help: say --width 2 or 4"),
        (["out", "0x10", "--cpl", "4"], "there is no privilege level 4"),
        (["out", "0x10", "--vcpu", "4096"], "there is no vCPU 4096"),
        (["out", "0x10", "--profile", "hardend"], "the policy has no profile `hardend`\n  help: did you mean `hardened`?"),
        (["read", "0x10"], "ACCESS cannot be `read`"),
        (["out"], "ADDRESS is missing"),
    ],
)  # fmt: skip
def test_mistakes_exit_2(words: list[str], said: str, policy: str, capsys: Captured) -> None:
    assert frame.run(["explain", policy, *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"policyc: {said}")


def test_a_member_of_a_family(policy: str, capsys: Captured) -> None:
    assert explained(capsys, policy, "rdmsr", "IA32_MTRR_PHYSBASE[3]")["access"]["address"] == 0x206


def test_a_policy_that_does_not_compile_exits_1(tmp_path: Path, capsys: Captured) -> None:
    path = write(tmp_path, "intercept io 0x64 out -> drop\n")
    assert frame.run(["explain", path, "out", "0x64"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error[E201]")


def test_a_failing_assertion_does_not_stop_the_explanation(tmp_path: Path, capsys: Captured) -> None:
    path = write(tmp_path, "assert intercepted msr IA32_FS_BASE\n")
    assert explained(capsys, path, "rdmsr", "IA32_FS_BASE")["exits"] is False


def test_standard_input(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert explained(capsys, "-", "in", "0x3f8")["rule"]["file"] == "<stdin>"


def test_a_missing_file_exits_2(tmp_path: Path, capsys: Captured) -> None:
    assert frame.run(["explain", str(tmp_path / "no.pol"), "in", "1"]) == 2
    assert "no.pol" in capsys.readouterr().err


OWN = """\
language 1
default passthrough
import "std/serial.pol" as uart
let const APIC = 0x1b
let io CMOS = 0x70 len 2
let io STATUS = uart.COM1 except 0x3f8..0x3fe
deny msr APIC
"""


def test_names_that_the_policy_itself_makes(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "vm.pol"
    path.write_text(OWN)
    found = explained(capsys, str(path), "rdmsr", "APIC")
    assert (found["access"]["address"], found["action"]) == (0x1B, "inject")
    assert explained(capsys, str(path), "in", "STATUS")["access"]["address"] == 0x3FF
    for words, said in (
        (["in", "CMOS"], "`CMOS` is several: ports 0x70..0x71"),
        (["in", "uart.COM2"], "`uart.COM2` is several: ports 0x2f8..0x2ff"),
        (["rdmsr", "CMOS"], "no MSR is named `CMOS`"),
        (["in", "uart.COM9"], "no I/O port is named `uart.COM9`"),
        (["in", "CMOS\nlet io X = 0x10"], "no I/O port is named"),
    ):
        assert frame.run(["explain", str(path), *words]) == 2
        assert capsys.readouterr().err.startswith(f"policyc: {said}")
