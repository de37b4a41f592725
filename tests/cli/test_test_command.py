"""`test` runs what stands in a policy, and fails where a policy's own words are not true."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from xml.etree import ElementTree

import pytest

from policyc.cli import frame
from tests.cli.sample import TEXT, line_of, write

ROOT = Path(__file__).parents[2]

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


def test_a_word_that_no_test_has_in_its_name_is_a_mistake(tmp_path: Path, capsys: Captured) -> None:
    path = write(tmp_path, "")
    assert frame.run(["test", path, "--only", "efre"]) == 2
    assert capsys.readouterr().err == "policyc: no test has `efre` in its name\n"


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


def test_a_baseline_below_a_folder_is_tested_in_the_policies_that_import_it(tmp_path: Path, capsys: Captured) -> None:
    """Alone it passes everything on, and could only fail."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "baseline.pol").write_text("language 1\nnever allow msr 0x3a write\n")
    (tmp_path / "vm.pol").write_text('language 1\nimport "parts/baseline.pol"\ndefault exit\n')
    assert frame.run(["test", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/vm.pol: 1 assertion holds\n"
    assert frame.run(["test", str(tmp_path / "parts" / "baseline.pol"), str(tmp_path)]) == 1
    (tmp_path / "vm.pol").write_text('language 1\nimport "parts/baseline.pol"\nallow msr 0x3a\n')
    assert frame.run(["test", str(tmp_path)]) == 1


def test_nothing_to_test(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "plain.pol"
    path.write_text("language 1\ndefault passthrough\n")
    assert frame.run(["test", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: nothing to test\n"


def pasted(text: str) -> str:
    """The block that `--coverage` suggests."""
    return text[text.index('test "rules that no test reached" {') :]


def test_rules_that_no_test_reaches_are_listed_with_cases_that_do(tmp_path: Path, capsys: Captured) -> None:
    path = write(tmp_path)
    assert frame.run(["test", path, "--coverage"]) == 0
    out, _ = capsys.readouterr()
    lines = out.splitlines()
    assert lines[1] == f"{path}: tests reach 1 of 8 rules"
    assert lines[2].split() == [
        *(f"{path}:{line_of('0xc0000080')} intercept msr 0xc0000080 write".split()),
        *"decides no access, so no test can reach it".split(),
    ]
    assert pasted(out).splitlines()[1:-1] == [
        "    wrmsr IA32_EFER => log, mask(and=0xfffffffffffffaff)",
        "    rdmsr IA32_APIC_BASE => inject(gp)",
        "    out 0xcf8 width 4 value 0x80000000 => forward(vpci)",
        "    out 0x64 => kill",
        "    out 0x70 vcpu 0 => count, exit",
        "    wrmsr IA32_DEBUGCTL profile hardened => inject(gp)",
    ]


def test_suggested_cases_hold_and_reach_every_rule_that_can_be(tmp_path: Path, capsys: Captured) -> None:
    path = write(tmp_path)
    frame.run(["test", path, "--coverage"])
    path = write(tmp_path, pasted(capsys.readouterr().out), "more.pol")
    assert frame.run(["test", path, "--coverage", "--format", "json"]) == 0
    (got,) = json.loads(capsys.readouterr().out)["policies"]
    assert (got["coverage"]["rules"], got["coverage"]["covered"]) == (8, 7)
    (missing,) = got["coverage"]["uncovered"]
    assert (missing["line"], missing["suggestion"]) == (line_of("0xc0000080"), None)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.pol")), ids=lambda path: path.stem)
def test_suggested_cases_hold_in_the_examples(path: Path, tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / "examples"
    shutil.copytree(path.parent, folder)
    copy = folder / path.name
    frame.run(["test", str(copy), "--coverage"])
    out = capsys.readouterr().out
    if "decides no access" not in out and "rules that no test reached" not in out:
        return
    copy.write_text(copy.read_text() + pasted(out))
    frame.run(["test", str(copy), "--coverage", "--format", "json"])
    (got,) = json.loads(capsys.readouterr().out)["policies"]
    assert not [each for each in got["diagnostics"] if each["code"] == "E213"]
    assert [each for each in got["coverage"]["uncovered"] if each["suggestion"] is not None] == []


def test_junit_has_every_case_and_what_went_wrong(tmp_path: Path, capsys: Captured) -> None:
    path = write(tmp_path, 'test "a <b> & \\"c\\"" {\n    out 0x64 => drop\n}\nassert intercepted msr IA32_FS_BASE\n')
    bad = tmp_path / "bad.pol"
    bad.write_text("frobnicate\n")
    assert frame.run(["test", path, str(bad), "--format", "junit"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    root = ElementTree.fromstring(out)
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("errors")) == ("testsuites", "8", "2", "1")
    first, second = root
    assert (first.get("name"), second.get("name")) == (path, str(bad))
    found = {each.get("name"): each for each in first}
    failing = [name for name, each in found.items() if each.find("failure") is not None]
    assert failing == ['a <b> & "c": out 0x64 => drop', "assert intercepted msr IA32_FS_BASE"]
    assert found[failing[0]].get("line") == str(TEXT.count("\n") + 2)
    failure = found[failing[0]].find("failure")
    assert failure is not None
    assert "error[E213]" in str(failure.get("message"))
    assert [each.tag for each in second[0]] == ["error"]


def test_watch_runs_again_when_an_imported_file_changes(tmp_path: Path) -> None:
    more = tmp_path / "more.pol"
    more.write_text("language 1\nintercept io 0x80\n")
    path = write(tmp_path, 'import "more.pol"\ntest "post" {\n    in 0x80 => exit\n}\n')
    words = [sys.executable, "-m", "policyc", "test", path, "--watch"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            assert "4 cases of 3 tests hold" in process.stdout.readline()
            more.write_text("language 1\nintercept io 0x80 -> kill\n# longer\nallow io 0x81\n")
            assert process.stdout.readline() == "\n"
            assert "4 cases of 3 tests hold" in process.stdout.readline()
            more.write_text("language 1\nintercept io 0x81\n")
            assert process.stdout.readline() == "\n"
            assert "1 of 4 cases of 3 tests fails" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
        finally:
            watchdog.cancel()
            process.kill()


def test_watch_needs_files_and_a_reader_of_text(tmp_path: Path, capsys: Captured) -> None:
    for words in (["-"], [write(tmp_path), "--format", "json"]):
        assert frame.run(["test", *words, "--watch"]) == 2
        assert "`--watch` shows text and reads files" in capsys.readouterr().err
