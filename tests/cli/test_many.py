"""`check`, `lint` and `fmt` of many files: several processes say and write what one would, whatever happens to them."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policyc import pipeline
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


@pytest.fixture
def children() -> Iterator[None]:
    """The test leaves no process behind, not even a zombie."""
    before = mine()
    yield
    assert mine() == before


def mine() -> set[int]:
    listed = (found.read_text() for found in Path("/proc/self/task").glob("*/children"))
    return {int(each) for line in listed for each in line.split()}


def said(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = frame.run(words)
    return status, *capfd.readouterr()


@pytest.mark.usefixtures("children")
@pytest.mark.parametrize("form", ["text", "json", "concise", "github", "sarif"])
def test_several_processes_check_as_one_does(files: list[str], form: str, capfd: pytest.CaptureFixture[str]) -> None:
    alone = said(capfd, "check", *files, "--jobs", "1", "--format", form)
    assert said(capfd, "check", *files, "--jobs", "3", "--format", form) == alone
    assert alone[0] == 2
    assert "p26.pol" in alone[1] + alone[2]


@pytest.mark.usefixtures("children")
@pytest.mark.parametrize(
    "words",
    [
        ["lint", "--format", "text"],
        ["lint", "--format", "json"],
        ["lint", "--format", "concise"],
        ["lint", "--format", "github"],
        ["lint", "--format", "sarif", "--select", "S4"],
        ["lint", "--diff", "--select", "R6"],
        ["fmt", "--check"],
        ["fmt", "--diff"],
    ],
    ids=" ".join,
)
def test_several_processes_say_what_one_says(
    files: list[str], words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """All of it at work: a twin to warn of, spaces to take out, waivers, settings of a folder, parts of others."""
    disorder(files)
    alone = said(capfd, *words, ".", "absent.pol", "--jobs", "1")
    assert said(capfd, *words, ".", "absent.pol", "--jobs", "3") == alone
    assert alone[0] == 2
    assert "p04.pol" in alone[1] + alone[2]


@pytest.mark.usefixtures("children")
@pytest.mark.parametrize(
    "words",
    [
        ["lint", "--fix"],
        ["lint", "--add-waivers", "--reason", "as the data sheet has it"],
        ["lint", "--write-baseline", "known.json"],
        ["fmt"],
    ],
    ids=" ".join,
)
def test_several_processes_write_what_one_writes(
    files: list[str], words: list[str], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    disorder(files)
    before = texts(tmp_path)
    alone = said(capfd, *words, ".", "--jobs", "1")
    written = texts(tmp_path)
    for name in written:
        (tmp_path / name).unlink()
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    assert said(capfd, *words, ".", "--jobs", "3") == alone
    assert texts(tmp_path) == written
    assert written["known.json" if "known.json" in words else "p04.pol"] != before.get("p04.pol")


def disorder(files: list[str]) -> None:
    """Nine of the policies, with something for every command to say, and a part that two of them import."""
    for name in files[9:]:
        Path(name).unlink(missing_ok=True)
    os.mkdir("parts")
    Path("parts", "uart.pol").write_text("let io UART = 0x3f8 len 8\nlet io SPARE = 0x2f8\n")
    for name in ("p03.pol", "p05.pol"):
        Path(name).write_text(Path(name).read_text() + 'import "parts/uart.pol"\nintercept io uart.UART\n')
    for name in ("p04.pol", "p08.pol"):
        text = '# policyc: ignore[R604] reason="two sheets"\nintercept   io 0x80\nintercept io 0x80\n'
        Path(name).write_text(Path(name).read_text() + text + "intercept io 0x90 in\nintercept io 0x90 in\n")
    Path("policyc.toml").write_text('[lint.per-path."p08.pol"]\nignore = ["R604"]\n')


def texts(folder: Path) -> dict[str, str]:
    return {str(each.relative_to(folder)): each.read_text() for each in folder.rglob("*") if each.is_file()}


def test_a_file_that_ends_its_process_costs_its_own_answer_alone(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    parent = os.getpid()

    def checked(args: Any, path: str, step: Any = None) -> Any:
        if path in ("p03.pol", "p29.pol") and os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return REAL(args, path, step)

    monkeypatch.setattr(policies, "checked", checked)
    status, out, err = said(capfd, "check", *files, "--jobs", "2")
    assert status == 3
    for path in ("p03.pol", "p29.pol"):
        assert f"policyc: {path} was left out: the process that worked on it was ended by SIGKILL\n" in err
        assert f"{path}:" not in out
    assert [line.split(":")[0] for line in out.splitlines()] == [
        path for path in files if path not in ("p03.pol", "p17.pol", "p29.pol") and int(path[1:3]) % 5 != 1
    ]


@pytest.mark.usefixtures("children")
@pytest.mark.parametrize(
    "words",
    [["fmt"], ["lint", "--fix"], ["lint", "--add-waivers"], ["lint", "--write-baseline", "known.json"]],
    ids=" ".join,
)
def test_nothing_is_written_where_a_process_died(
    files: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    disorder(files)
    before, parent, read = texts(tmp_path), os.getpid(), pipeline.front

    def front(path: str, **more: Any) -> Any:
        if path.endswith("p03.pol") and os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(path, **more)

    Path("p03.pol").write_text(before["p03.pol"].replace("io", "io  "))
    before = texts(tmp_path)
    monkeypatch.setattr(pipeline, "front", front)
    status, _, err = said(capfd, *words, ".", "--jobs", "2")
    assert status == 3
    assert "policyc: p03.pol was left out: the process that worked on it was ended by SIGKILL\n" in err
    assert texts(tmp_path) == before


@pytest.mark.usefixtures("children")
@pytest.mark.parametrize("granted", [0, 1])
def test_where_the_system_grants_no_more_processes_the_work_is_done_by_those_that_there_are(
    files: list[str], granted: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    alone = said(capfd, "fmt", "--check", *files, "--jobs", "1")
    fork, asked = os.fork, []

    def sparing() -> int:
        asked.append(1)
        if len(asked) > granted:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return fork()

    monkeypatch.setattr(os, "fork", sparing)
    opened = os.listdir("/proc/self/fd")
    assert said(capfd, "fmt", "--check", *files, "--jobs", "3") == alone
    assert len(asked) == 3
    assert os.listdir("/proc/self/fd") == opened


@pytest.mark.usefixtures("children")
def test_ctrl_c_while_a_process_begins_leaves_none_behind(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fork = os.fork

    def interrupted() -> int:
        pid = fork()
        os.kill(os.getpid(), signal.SIGINT)  # In both: the parent and the new process.
        return pid

    monkeypatch.setattr(os, "fork", interrupted)
    assert said(capfd, "check", *files, "--jobs", "2") == (130, "", "")


def test_a_bug_is_told_as_one_process_tells_it(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def checked(args: Any, path: str, step: Any = None) -> Any:
        if path == "p20.pol":
            raise ZeroDivisionError("of all things")
        return REAL(args, path, step)

    monkeypatch.setattr(policies, "checked", checked)
    alone = said(capfd, "check", *files, "--jobs", "1")
    assert alone[0] == 3
    assert "ZeroDivisionError: of all things" in alone[2]
    assert said(capfd, "check", *files, "--jobs", "2") == alone


@pytest.mark.parametrize("command", ["check", "lint", "fmt"])
def test_ctrl_c_ends_all_processes_in_silence(command: str, tmp_path: Path) -> None:
    rules = "".join(f"intercept io 0x{number:x}\n" for number in range(4000))
    for number in range(40):
        (tmp_path / f"{number}.pol").write_text(GOOD.format(1) + rules)
    words = [sys.executable, "-m", "policyc", command, str(tmp_path), "--jobs", "2"]
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
    status, out, _ = said(capfd, "check", "all")
    assert status == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["all/vm.pol"]
    assert [line.split(":")[0] for line in said(capfd, "check", "all", "all/parts/uart.pol")[1].splitlines()] == [
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
    status, _, err = said(capfd, "check", "vm.pol", "--jobs", word)
    assert status == 2
    assert "1..256" in err
