"""What a shell offers, asked of a real bash."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from policyc.cli import commands, frame

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def script(capsys: Captured) -> str:
    assert frame.run(["completion", "bash"]) == 0
    return capsys.readouterr().out


def offered(script: str, words: list[str], folder: Path) -> list[str]:
    """What bash offers for the last of the words."""
    quoted = " ".join(f"'{each}'" for each in words)
    ask = (
        f"{script}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _policyc; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, cwd=folder, check=True, timeout=60)
    assert done.stderr == ""
    return sorted(done.stdout.split("\n")[:-1])


def test_bash_offers_commands_options_values_and_files(script: str, tmp_path: Path) -> None:
    (tmp_path / "a b.pol").touch()
    (tmp_path / "vm.pol").touch()
    ask = [
        (["policyc", ""], sorted(commands.NAMES)),
        (["policyc", "--color", "never", "exp"], ["explain"]),
        (["policyc", "expl"], ["explain"]),
        (["policyc", "check", "--fo"], ["--format"]),
        (["policyc", "check", "--format", "j"], ["json"]),
        (["policyc", "check", "--fail-on", ""], ["error", "info", "warning"]),
        (["policyc", "check", ""], ["a b.pol", "vm.pol"]),
        (["policyc", "compile", "-o", "a"], ["a b.pol"]),
        (["policyc", "explain", "v"], ["vm.pol"]),
        (["policyc", "explain", "vm.pol", "rd"], ["rdmsr"]),
        (["policyc", "help", "che"], ["check"]),
        (["policyc", "completion", ""], ["bash", "fish", "zsh"]),
        (["policyc", "nonsense", "--x"], [""]),
    ]
    for words, expected in ask:
        assert offered(script, words, tmp_path) == expected, words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_and_option_is_in_every_script(shell: str, capsys: Captured) -> None:
    assert frame.run(["completion", shell]) == 0
    text = capsys.readouterr().out
    for name in commands.NAMES:
        assert name in text
        for option in frame.parser_of(name).options:
            assert option.names[-1].lstrip("-") in text
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, check=False, timeout=60)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_an_unknown_shell(capsys: Captured) -> None:
    assert frame.run(["completion", "tcsh"]) == 2
    assert "it takes one of bash, zsh, fish" in capsys.readouterr().err
