"""``policyc verify``: exit codes, the table, a difference in words, the JSON that is kept as evidence."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from policyc.bundle.write import write_bundle
from policyc.cli import verify
from policyc.cli.frame import run
from policyc.verify import emulators, rom
from policyc.verify.executors import EXECUTORS
from tests.bundle.bundles import compiled
from tests.verify.subjects import POLICY, executor, need_for


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bundle(str(tmp_path / "vm.bundle"), compiled(POLICY.partition("profile")[0]).files)
    return tmp_path / "vm.bundle"


def test_the_executors_of_the_command_are_those_there_are() -> None:
    assert tuple(each.name for each in EXECUTORS) == verify.ON


def test_an_altered_bit_is_named_with_access_rule_bit_and_byte_and_the_exit_code_is_1(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_for(executor("qemu-svm"))
    data = bytearray((folder / "iopm.bin").read_bytes())
    data[0x3F8 // 8] ^= 1 << 5
    (folder / "iopm.bin").write_bytes(data)
    assert run(["verify", str(folder), "--on", "qemu-svm"]) == 1
    out = capsys.readouterr().out
    assert "altered: iopm.bin: its SHA-256 is not the one in the manifest" in out
    assert "in 0x3fd width 1: expected an exit (vm.pol:4 (com1)), found no exit" in out
    assert "iopm.bin byte 127 bit 5 must be 1" in out
    assert out.count("differs:") == 1
    assert "qemu-svm  " in out
    assert "differ" in out


def test_json_binds_the_result_to_the_files_and_names_the_tools(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_for(executor("qemu-svm"))
    assert run(["verify", str(folder), "--on", "qemu-svm", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["format_version"], told["verified"], told["altered"]) == (1, True, [])
    digests = {each["path"]: each["sha256"] for each in told["files"]}
    assert digests["iopm.bin"] == sha256((folder / "iopm.bin").read_bytes()).hexdigest()
    (result,) = told["results"]
    assert result["executor"] == "qemu-svm"
    assert result["accesses"] > 240_000
    assert result["tools"][0].startswith("QEMU ")
    assert result["differences"] == []


def test_an_executor_that_is_named_and_not_installed_is_an_error_with_the_command_to_get_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert run(["verify", str(folder), "--on", "bochs-vmx"]) == 2
    assert "apt install bochs bochs-term" in capsys.readouterr().err


def test_a_bundle_without_the_images_is_told_what_to_compile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "language 1\ntarget vmx\ndefault passthrough\nintercept io 0x80\n"
    write_bundle(str(tmp_path / "b"), compiled(text).files)
    assert run(["verify", str(tmp_path / "b"), "--on", "qemu-svm"]) == 2
    assert "policyc compile --target svm" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--on", "bochs"], ["--on", ""], ["--profile", "nobody"], ["--on", "qemu-svm,nothing"]]
)
def test_words_that_mean_nothing_are_usage_errors(folder: Path, words: list[str]) -> None:
    assert run(["verify", str(folder), *words]) == 2


def test_without_a_compiler_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("policyc.verify.executors.compiler", lambda: None)
    monkeypatch.setattr(emulators, "qemu_missing", lambda: "")
    run(["verify", str(folder), "--on", "bochs-svm"])
    assert "apt install" in capsys.readouterr().err


def test_a_compiler_that_cannot_make_32_bit_code_is_a_message_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from policyc.vocabulary.diagnostic import UnreadableError

    fake = tmp_path / "cc"
    fake.write_text("#!/bin/sh\n[ $1 = --version ] && echo fake 1 && exit\necho 'x.c:1: error: no -m32' >&2; exit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("CC", str(fake))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(UnreadableError, match="no -m32"):
        rom.probe_rom()


def test_the_rom_is_built_once_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need_for(executor("qemu-svm"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = rom.probe_rom()
    assert Path(first.path).parent == tmp_path / "policyc"
    assert Path(first.path).stat().st_size == 65536
    monkeypatch.setattr(rom, "_compiled", lambda *_: pytest.fail("built twice"))
    assert rom.probe_rom() == first


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need_for(executor("qemu-svm"))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    made = rom.probe_rom()
    assert Path(made.path).stat().st_size == 65536
    Path(made.path).unlink()
