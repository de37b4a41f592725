"""`compile` writes a bundle or nothing; `check` says the same and writes nothing."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from policyc.cli import frame, policies
from policyc.targets import registry
from tests.cli.sample import TEXT, write

Captured = pytest.CaptureFixture[str]
BAD = "language 1\ndefault passthrough\nintercept io 0x3ff..0x3f8\nintercept msr IA32_EFFER\n"
WARNS = "intercept io 0x60\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_bundle_is_named_after_the_policy(here: Path, capsys: Captured) -> None:
    assert frame.run(["compile", write(here / "..", name=f"{here.name}.pol")]) == 0
    out, err = capsys.readouterr()
    bundle = here / f"{here.name}.bundle"
    assert sorted(each.name for each in bundle.iterdir() if each.suffix == ".bin") == [
        "io.bin",
        "iopm.bin",
        "msr.bin",
        "msrpm.bin",
    ]
    assert (bundle / "profiles" / "hardened" / "msr.bin").stat().st_size == 4096
    assert out.startswith(f"{here.name}.bundle: ")
    assert "accesses proven" in out
    assert err == ""


def test_another_folder_and_target(here: Path, capsys: Captured) -> None:
    path = here / "vm.pol"
    path.write_text("language 1\ndefault passthrough\nintercept msr 0x10\n")
    assert frame.run(["compile", "vm.pol", "-o", "out", "--target", "svm"]) == 0
    assert not (here / "out" / "msr.bin").exists()
    assert (here / "out" / "msrpm.bin").stat().st_size == 8192
    assert not (here / "vm.bundle").exists()


def test_figures_of_one_class_of_vcpus_are_not_given_as_the_whole(here: Path, capsys: Captured) -> None:
    """Port 0x70 exits on vCPU 3, so `exits of the base policy: ... 0 ports` alone would be untrue."""
    (here / "vm.pol").write_text("language 1\ntarget vmx\ndefault passthrough\nintercept io 0x70 on vcpu 3\n")
    assert frame.run(["compile", "vm.pol"]) == 0
    assert "exits of the base policy, on vCPUs that no rule names: 0 MSRs read" in capsys.readouterr().out


def test_an_empty_name_is_not_taken_for_the_default_one(here: Path, capsys: Captured) -> None:
    """A script's `-o "$unset"` must not put a bundle where nobody looks for it."""
    (here / "vm.pol").write_text("language 1\ndefault passthrough\nintercept msr 0x10\n")
    assert frame.run(["compile", "vm.pol", "-o", ""]) == 2
    assert capsys.readouterr().err == (
        "policyc: cannot write '': it is not the name of a new folder; give one, as in -o vm.bundle\n"
    )
    assert [each.name for each in here.iterdir()] == ["vm.pol"]


def test_what_does_not_compile_writes_nothing(here: Path, capsys: Captured) -> None:
    (here / "bad.pol").write_text(BAD)
    assert frame.run(["compile", "bad.pol"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n\n2 errors; nothing written\n")
    assert not (here / "bad.bundle").exists()


def test_a_broken_policy_in_json_stays_on_standard_output(here: Path, capsys: Captured) -> None:
    (here / "bad.pol").write_text(BAD)
    assert frame.run(["compile", "bad.pol", "--format", "json"]) == 1
    out, err = capsys.readouterr()
    assert [each["code"] for each in json.loads(out)["diagnostics"]] == ["E021", "E031"]
    assert err == ""


def test_the_summary_in_json(here: Path, capsys: Captured) -> None:
    (here / "vm.pol").write_text(TEXT)
    assert frame.run(["compile", "vm.pol", "--format", "json", "-o", "b"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert (got["format_version"], got["bundle"], got["targets"]) == (1, "b", ["vmx", "svm"])
    assert {each["path"]: each["size"] for each in got["files"]} == {
        str(each.relative_to(here / "b")): each.stat().st_size for each in (here / "b").rglob("*") if each.is_file()
    }


def test_a_target_that_is_left_out_is_told(here: Path, capsys: Captured) -> None:
    (here / "x.pol").write_text("language 1\ndefault passthrough\nintercept msr 0x808\n")
    assert frame.run(["compile", "x.pol"]) == 0
    out, err = capsys.readouterr()
    assert "left out: kvm" in out
    assert "warning[T513]" in err
    assert err.endswith("1 warning\n")
    assert frame.run(["compile", "x.pol", "--target", "kvm"]) == 1
    assert "error[T502]" in capsys.readouterr().err


def test_exits_in_excess_are_counted(here: Path, capsys: Captured) -> None:
    # One port, trapped for OUT: IN of 1, 2 and 4 bytes that touch it start at 1 + 2 + 4 ports. At the last port, three
    # accesses of 4 bytes and one of 2, each in and out, run past it.
    (here / "x.pol").write_text("language 1\ndefault passthrough\nintercept io 0x64 out\n")
    assert frame.run(["compile", "x.pol", "--target", "vmx"]) == 0
    out = capsys.readouterr().out
    assert "exits of the base policy: 0 MSRs read, 0 written, 1 port in 1 range\n" in out
    assert "15 port accesses exit though the policy passes them on" in out
    assert frame.run(["compile", "x.pol", "--target", "vmx", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["excess"] == {
        "accesses": 15,
        "direction": 7,
        "width": 0,
        "past_last_port": 8,
    }


def test_check_writes_nothing(here: Path, capsys: Captured) -> None:
    (here / "vm.pol").write_text(TEXT)
    assert frame.run(["check", "vm.pol"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("vm.pol: compiles to vmx, svm (8 rules, ")
    assert err == ""
    assert [each.name for each in here.iterdir()] == ["vm.pol"]


def test_every_policy_is_checked(here: Path, capsys: Captured) -> None:
    (here / "vm.pol").write_text(TEXT)
    (here / "bad.pol").write_text(BAD)
    assert frame.run(["check", "bad.pol", "vm.pol"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("vm.pol: compiles")
    assert err.count("error[") == 2
    assert frame.run(["check", "missing.pol", "bad.pol"]) == 2
    err = capsys.readouterr().err
    assert "missing.pol" in err
    assert err.count("error[") == 2


@pytest.mark.parametrize(("level", "status"), [("error", 0), ("warning", 1), ("info", 1)])
def test_the_level_that_fails(level: str, status: int, here: Path) -> None:
    (here / "w.pol").write_text(WARNS)
    assert frame.run(["check", "w.pol", "--fail-on", level]) == status


def test_check_for_programs(here: Path, capsys: Captured) -> None:
    (here / "bad.pol").write_text(BAD)
    assert frame.run(["check", "bad.pol", "--format", "concise"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == ("bad.pol:3:14: error[E021] reversed-range: range starts at 0x3ff but ends at 0x3f8")
    assert (len(out.splitlines()), err) == (2, "")
    assert frame.run(["check", "bad.pol", "--format", "github"]) == 1
    assert capsys.readouterr().out.startswith("::error file=bad.pol,line=3,endLine=3,col=14,endColumn=25,title=E021")
    assert frame.run(["check", "bad.pol", "--format", "sarif"]) == 1
    assert [each["ruleId"] for each in json.loads(capsys.readouterr().out)["runs"][0]["results"]] == ["E021", "E031"]
    assert frame.run(["check", "bad.pol", "--format", "json"]) == 1
    got = json.loads(capsys.readouterr().out)
    assert [each["code"] for each in got["diagnostics"]] == ["E021", "E031"]
    assert (got["compiles"], got["unreadable"]) == ([], [])


def test_standard_input(here: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BAD.encode())))
    assert frame.run(["check", "-", "--format", "concise"]) == 1
    assert capsys.readouterr().out.startswith("<stdin>:3:14: ")


def test_names_of_ones_own(here: Path, capsys: Captured) -> None:
    (here / "site.yaml").write_text(
        "- name: SITE_MSR\n  index: 0x1234\n  about: Ours.\n  access: rw\n  vendor: any\n  tags: []\n  source: us\n"
    )
    (here / "vm.pol").write_text("language 1\ndefault passthrough\nintercept msr SITE_MSR\n")
    assert frame.run(["check", "vm.pol", "--db", "site.yaml"]) == 0
    assert frame.run(["check", "vm.pol"]) == 1
    assert frame.run(["check", "vm.pol", "--db", "none.yaml"]) == 2


@pytest.mark.parametrize("command", ["check", "compile"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--target", "arm"], "--target cannot be `arm`\n  help: targets are vmx, svm, kvm"),
        (["--target", ","], "--target cannot be `,`"),
        (["--profile", "hardend"], "vm.pol has no profile 'hardend'"),
    ],
)
def test_mistakes_exit_2(command: str, words: list[str], said: str, here: Path, capsys: Captured) -> None:
    (here / "vm.pol").write_text(TEXT)
    assert frame.run([command, "vm.pol", *words]) == 2
    assert capsys.readouterr().err.startswith(f"policyc: {said}")


def test_the_command_line_knows_the_targets_there_are() -> None:
    assert policies.TARGETS == registry.NAMES


def test_a_proof_that_fails_is_a_bug(here: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    from policyc.targets.base import Image
    from policyc.targets.traps import Traps
    from policyc.targets.vmx import Vmx

    whole = Vmx.images

    def flipped(self: Vmx, traps: Traps) -> tuple[Image, ...]:
        msr, io = whole(self, traps)
        return msr._replace(data=bytes([msr.data[0] ^ 1]) + msr.data[1:]), io

    monkeypatch.setattr(Vmx, "images", flipped)
    (here / "vm.pol").write_text(TEXT)
    assert frame.run(["compile", "vm.pol"]) == 3
    err = capsys.readouterr().err
    assert err.startswith("policyc: this is a bug in policyc")
    assert "msr.bin byte 0 bit 0: rdmsr 0x0: expected 0" in err
    assert not (here / "vm.bundle").exists()
