"""`test` runs what stands in a policy, and fails where a policy's own words are not true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policyc.cli import frame
from tests.cli.sample import write

Captured = pytest.CaptureFixture[str]


def test_what_holds(tmp_path: Path, capsys: Captured) -> None:
    path = write(tmp_path)
    assert frame.run(["test", path]) == 0
    assert capsys.readouterr() == (f"{path}: 3 cases of 2 tests hold; 2 assertions hold\n", "")


def test_what_does_not(tmp_path: Path, capsys: Captured) -> None:
    path = write(tmp_path, 'test "wrong" {\n    out 0x64 => drop\n}\nassert intercepted msr IA32_FS_BASE\n')
    assert frame.run(["test", path, "-v"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[-2:] == [
        "  FAILS  wrong: out 0x64 => drop",
        f"{path}: 1 of 4 cases of 3 tests fails; 1 of 3 assertions fails",
    ]
    assert out.count("  holds  ") == 3
    assert "error[E211]" in err
    assert "error[E213]" in err
    assert err.endswith("2 errors\n")


def test_only_some(tmp_path: Path, capsys: Captured) -> None:
    path = write(tmp_path, 'test "wrong" {\n    out 0x64 => drop\n}\n')
    assert frame.run(["test", path, "--only", "efer"]) == 0
    assert capsys.readouterr().out == f"{path}: 1 case of 1 test holds\n"


def test_json(tmp_path: Path, capsys: Captured) -> None:
    path = write(tmp_path, 'test "wrong" {\n    out 0x64 => drop\n}\n')
    assert frame.run(["test", path, "--format", "json"]) == 1
    (got,) = json.loads(capsys.readouterr().out)["policies"]
    assert [(test["name"], [case["passed"] for case in test["cases"]]) for test in got["tests"]] == [
        ("serial", [True, True]),
        ("efer", [True]),
        ("wrong", [False]),
    ]
    assert [each["code"] for each in got["diagnostics"]] == ["E213"]


def test_one_policy_does_not_stop_the_next(tmp_path: Path, capsys: Captured) -> None:
    bad = tmp_path / "bad.pol"
    bad.write_text("frobnicate\n")
    good = write(tmp_path)
    assert frame.run(["test", str(bad), good]) == 1
    out, err = capsys.readouterr()
    assert out.startswith(f"{good}: 3 cases")
    assert "error[E001]" in err
    assert frame.run(["test", str(tmp_path / "none.pol"), good]) == 2


def test_nothing_to_test(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "plain.pol"
    path.write_text("language 1\ndefault passthrough\n")
    assert frame.run(["test", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: nothing to test\n"
