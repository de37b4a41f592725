"""`check` of many files: several processes say what one would have said, whatever happens to them."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from policyc.cli import frame, policies
from policyc.cli.workers import FEW, MUCH, processes

GOOD = "language 1\ntarget vmx\ndefault passthrough\nintercept io 0x{:x}\n"
REAL = policies.checked


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Thirty policies of all sorts; one is missing."""
    monkeypatch.chdir(tmp_path)
    for number in range(30):
        text = GOOD.format(number)
        if number % 5 == 1:
            text += "intercept io 0x7x\n"
        if number % 5 == 2:
            text = text.replace("default passthrough\n", "")
        (tmp_path / f"p{number:02}.pol").write_text(text)
    (tmp_path / "p17.pol").unlink()
    return [f"p{number:02}.pol" for number in range(30)]


def said(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = frame.run(["check", *words])
    return status, *capfd.readouterr()


@pytest.mark.parametrize("form", ["text", "json", "concise"])
def test_several_processes_say_what_one_says(files: list[str], form: str, capfd: pytest.CaptureFixture[str]) -> None:
    alone = said(capfd, *files, "--jobs", "1", "--format", form)
    assert said(capfd, *files, "--jobs", "3", "--format", form) == alone
    assert alone[0] == 2
    assert "p27.pol" in alone[1] + alone[2]


def test_a_file_that_ends_its_process_costs_its_own_answer_alone(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    parent = os.getpid()

    def checked(args: Any, path: str, quiet: bool = False) -> Any:
        if path in ("p03.pol", "p29.pol") and os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return REAL(args, path, quiet)

    monkeypatch.setattr(policies, "checked", checked)
    status, out, err = said(capfd, *files, "--jobs", "2")
    assert status == 3
    for path in ("p03.pol", "p29.pol"):
        assert f"policyc: {path} was not checked: the process that checked it was ended by SIGKILL\n" in err
        assert f"{path}:" not in out
    assert [line.split(":")[0] for line in out.splitlines()] == [
        path for path in files if path not in ("p03.pol", "p17.pol", "p29.pol") and int(path[1:3]) % 5 != 1
    ]


def test_a_bug_is_told_as_one_process_tells_it(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def checked(args: Any, path: str, quiet: bool = False) -> Any:
        if path == "p20.pol":
            raise ZeroDivisionError("of all things")
        return REAL(args, path, quiet)

    monkeypatch.setattr(policies, "checked", checked)
    alone = said(capfd, *files, "--jobs", "1")
    assert alone[0] == 3
    assert "ZeroDivisionError: of all things" in alone[2]
    assert said(capfd, *files, "--jobs", "2") == alone


def test_ctrl_c_ends_all_processes_in_silence(tmp_path: Path) -> None:
    rules = "".join(f"intercept io 0x{number:x}\n" for number in range(4000))
    for number in range(40):
        (tmp_path / f"{number}.pol").write_text(GOOD.format(1) + rules)
    words = [sys.executable, "-m", "policyc", "check", str(tmp_path), "--jobs", "2"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        words, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as program:
        deadline = time.monotonic() + 30
        while len(members(program.pid)) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(members(program.pid)) == 3
        os.killpg(program.pid, signal.SIGINT)
        out, err = program.communicate(timeout=30)
    assert (program.returncode, out, err) == (130, "", "")
    assert not members(program.pid)


def members(group: int) -> list[str]:
    """Processes of a group that are not mere zombies."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            state = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(state[2]) == group and state[0] != "Z":
            found.append(name)
    return found


def test_a_few_small_files_are_not_worth_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    small = [str(tmp_path / str(number)) for number in range(FEW)]
    for each in small:
        Path(each).write_text("language 1\n")
    assert processes(small[:1], 8) == 1
    assert processes(small[:-1], None) == 1
    assert processes(small, None) == 4
    assert processes(["-", *small], None) == 1
    assert processes(small[:3], 8) == 3
    Path(small[0]).write_bytes(b"#" * MUCH)
    assert processes(small[:2], None) == 2


def test_parts_of_others_below_a_folder_are_not_policies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "all" / "parts").mkdir(parents=True)
    (tmp_path / "all" / "parts" / "uart.pol").write_text("let io UART = 0x3f8 len 8\n")
    (tmp_path / "all" / "vm.pol").write_text(GOOD.format(1) + 'import "parts/uart.pol"\nintercept io uart.UART\n')
    monkeypatch.chdir(tmp_path)
    status, out, _ = said(capfd, "all")
    assert status == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["all/vm.pol"]
    assert [line.split(":")[0] for line in said(capfd, "all", "all/parts/uart.pol")[1].splitlines()] == [
        "all/vm.pol", "all/parts/uart.pol",
    ]  # fmt: skip


def test_a_terminal_sees_how_far_it_is(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("policyc.cli.console.PATIENCE", 0.0)
    frame.run(["check", *files[:3], "--jobs", "2", "--color", "never"])
    assert "\r\x1b[Kchecking policies: " in terminal.getvalue()


@pytest.mark.parametrize("word", ["0", "-1", "x", "1000", ""])
def test_a_number_of_processes_is_a_number(word: str, capfd: pytest.CaptureFixture[str]) -> None:
    status, _, err = said(capfd, "vm.pol", "--jobs", word)
    assert status == 2
    assert "1..256" in err
