"""``--emit ir`` and ``--from-ir`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policyc.cli.frame import run
from tests.cli import sample


@pytest.fixture
def document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "vm.json"
    assert run(["compile", sample.write(tmp_path), "--emit", "ir"]) == 0
    path.write_text(capsys.readouterr().out)
    return path


def test_nothing_but_the_document_is_printed_and_nothing_written(document: Path, tmp_path: Path) -> None:
    assert json.loads(document.read_text())["policy"] == "vm"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["vm.json", "vm.pol"]


def test_a_compile_of_the_document_writes_the_bundle(document: Path, tmp_path: Path, capsys) -> None:
    assert run(["compile", "--from-ir", str(document), "-o", str(tmp_path / "a")]) == 0
    assert run(["compile", str(tmp_path / "vm.pol"), "-o", str(tmp_path / "b")]) == 0
    for name in ("msr.bin", "io.bin", "msrpm.bin", "iopm.bin", "exit_handler.c", "exit_handler.h"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    (source,) = json.loads((tmp_path / "a" / "manifest.json").read_text())["sources"]
    assert source["path"] == "vm.json"


def test_explain_names_the_rule_s_own_file_and_line(document: Path, capsys) -> None:
    assert run(["explain", "--from-ir", str(document), "out", "0x64", "--format", "json"]) == 0
    rule = json.loads(capsys.readouterr().out)["rule"]
    assert (rule["file"], rule["line"]) == ("vm.pol", sample.line_of("0x64"))


def test_check_show_and_test_read_it_too(document: Path, capsys) -> None:
    assert run(["check", "--from-ir", str(document)]) == 0
    assert run(["test", "--from-ir", str(document)]) == 0
    assert run(["show", "--from-ir", str(document)]) == 0
    assert "profiles: hardened" in capsys.readouterr().out


def test_a_wrong_document_is_a_finding_with_its_pointer(document: Path, capsys) -> None:
    document.write_text(document.read_text().replace('"verb": "deny"', '"verb": "dany"'))
    assert run(["check", "--from-ir", str(document), "--format", "concise"]) == 1
    out = capsys.readouterr().out
    line = next(n for n, each in enumerate(document.read_text().splitlines(), 1) if "dany" in each)
    assert out.startswith(f"{document}:{line}:12: error[E092] ir-form")


def test_what_does_not_go_together_is_told(document: Path, tmp_path: Path, capsys) -> None:
    assert run(["compile", str(tmp_path / "vm.pol"), "--emit", "ir", "-o", "x"]) == 2
    assert run(["check", "--from-ir", str(tmp_path / "missing.json")]) == 2
    (tmp_path / "latin.json").write_bytes(b'{"policy": "\xe9"}')
    assert run(["check", "--from-ir", str(tmp_path / "latin.json")]) == 1
    assert "E002" in capsys.readouterr().err
