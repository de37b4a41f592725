"""No command writes over anything that it read: files of the command line, what they import, settings, a bundle's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from policyc.cli import frame

ROOT = Path(__file__).parents[2]

MAIN = 'language 1\nimport "serial.pol" as serial\ndefault exit\nallow io serial.COM1\n'
SERIAL = "language 1\nlet io COM1 = 0x3f8 len 8\n"
BROKEN = 'language 1\nimport "part.pol" as part\ndefault exit\nallow io part.NOTHING\n'
NAMES = """\
- name: SITE_CTL
  index: 0x9a0
  about: A register of ours.
  access: rw
  vendor: any
  tags: []
  source: our board's manual
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """The current folder: a policy of two files with its bundle, an image, settings, names of a site's own."""
    monkeypatch.chdir(tmp_path)
    texts = {"vm.pol": MAIN, "serial.pol": SERIAL, "broken.pol": BROKEN, "part.pol": SERIAL, "site.yaml": NAMES}
    for name, text in texts.items():
        Path(name).write_text(text)
    Path("policyc.toml").write_text('[lint]\nthreat = "monitor"\n')
    Path("other.toml").write_text('[lint]\nthreat = "monitor"\n')
    assert frame.run(["compile", "vm.pol"]) == 0
    Path("io.bin").write_bytes(Path("vm.bundle/io.bin").read_bytes())
    Path("link.html").symlink_to("serial.pol")
    capsys.readouterr()
    return tmp_path


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "words",
    [
        ["report", "vm.pol", "-o", "vm.pol"],
        ["report", "vm.pol", "-o", "serial.pol"],
        ["report", "vm.pol", "-o", "link.html"],
        ["report", "vm.pol", "-o", "policyc.toml"],
        ["report", "vm.pol", "--db", "site.yaml", "-o", "site.yaml"],
        ["report", "vm.bundle", "-o", "vm.bundle/io.bin"],
        ["report", "vm.bundle", "-o", "vm.bundle/new.html"],
        ["decompile", "io.bin", "-o", "io.bin"],
        ["decompile", "io.bin", "--db", "site.yaml", "-o", "site.yaml"],
        ["lint", "vm.pol", "--write-baseline", "vm.pol"],
        ["lint", "vm.pol", "--write-baseline", "serial.pol"],
        ["lint", "vm.pol", "--write-baseline", "policyc.toml"],
        ["lint", "vm.pol", "--config", "other.toml", "--write-baseline", "other.toml"],
        ["lint", "vm.pol", "--db", "site.yaml", "--write-baseline", "site.yaml"],
        ["lint", "broken.pol", "--write-baseline", "part.pol"],
        ["exec", "vm.bundle", "--report", "vm.bundle/manifest.json", "--", "true"],
        ["exec", "vm.bundle", "--report", "vm.bundle/report.txt", "--", "true"],
        ["exec", "vm.bundle", "--db", "site.yaml", "--report", "site.yaml", "--", "true"],
    ],
    ids=" ".join,
)
def test_what_was_read_is_not_overwritten(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(folder)
    assert frame.run(words) == 2
    said = capsys.readouterr().err
    assert "  help: write it elsewhere" in said
    assert files(folder) == before


def test_a_bundle_does_not_replace_one_that_its_policy_lies_in(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of one's own in a bundle is a stranger there, unless it bears the name of one of the bundle's."""
    Path("vm.bundle/exit_handler.h").write_text(SERIAL)
    before = files(folder)
    assert frame.run(["compile", "vm.bundle/exit_handler.h", "-o", "vm.bundle"]) == 2
    assert "vm.bundle/exit_handler.h is read for it, and would be overwritten" in capsys.readouterr().err
    assert files(folder) == before


def test_standard_input_is_something_that_was_read(folder: Path) -> None:
    image = Path("io.bin").read_bytes()
    with open("io.bin", "rb") as stream:
        done = subprocess.run(
            [sys.executable, "-m", "policyc", "decompile", "-", "--as", "io", "-o", "io.bin"],
            stdin=stream, capture_output=True, check=False, env={"PYTHONPATH": str(ROOT)}, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert Path("io.bin").read_bytes() == image


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["report", "vm.pol", "-o"], "page.html"),
        (["decompile", "io.bin", "-o"], "theirs.pol"),
        (["lint", "vm.pol", "--write-baseline"], "known.json"),
        (["compile", "vm.pol", "--target", "vmx", "-o"], "vm.bundle"),
    ],
    ids=["report", "decompile", "lint", "compile"],
)
def test_what_was_written_before_is_written_again(words: list[str], out: str, folder: Path) -> None:
    for _ in range(2):
        assert frame.run([*words, out]) == 0
    assert Path(out).exists()
    Path("copy").symlink_to(out)
    if Path(out).is_file():
        Path(out).write_text("old")
        assert frame.run([*words, "copy"]) == 0
        assert Path("copy").is_symlink()
        assert Path(out).read_text() != "old"


@pytest.mark.parametrize("words", [["report", "vm.pol"], ["decompile", "io.bin"]], ids=" ".join)
def test_a_line_alone_means_standard_output(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.run([*words, "-o", "-"]) == 0
    assert len(capsys.readouterr().out) > 100
    assert not Path("-").exists()
