"""What a process costs, told so that a busy machine does not blur it: processor time of the best of many turns, or instructions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from shutil import which
from typing import NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)
Words = Sequence[str | Path]

_OURS = ("PYTHON", "POLICYC", "VIRTUAL_ENV")


class Cost(NamedTuple):
    """seconds: of processor time, user and system, children that were waited for included. peak: bytes of the largest
    resident set; of this process where that is larger, as Linux counts it from before the exec."""

    seconds: float
    peak: int


def clean(**more: str) -> dict[str, str]:
    """The environment without what changes how Python or policyc run; hashes are the same in every run."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
    return kept | {"PYTHONHASHSEED": "0"} | more


def process(words: Words, cwd: Path | None = None, status: int = 0) -> Cost:
    """Run a command in the clean environment, its output thrown away. status: the exit code that it must have."""
    child = subprocess.Popen(
        [str(each) for each in words], cwd=cwd, env=clean(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stderr is not None
    with child.stderr as errors:
        said = errors.read()
    _, code, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(code)
    if child.returncode != status:
        raise SystemExit(f"{' '.join(map(str, words))}: exit code {child.returncode}\n{said.decode(errors='replace')}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def turns(tries: Mapping[Key, Callable[[], float]], rounds: int) -> dict[Key, float]:
    """The least that each of several things cost, all of them tried in turn, round after round.

    Whatever else the machine does only ever makes a try dearer, and slows neighbours in a round alike.
    """
    least: dict[Key, float] = {}
    for _ in range(rounds):
        for key, attempt in tries.items():
            took = attempt()
            least[key] = min(least.get(key, took), took)
    return least


def processes(commands: Mapping[Key, Words], rounds: int, cwd: Path | None = None) -> dict[Key, float]:
    """Processor seconds of each command: see turns."""
    return turns({key: partial(_seconds, words, cwd) for key, words in commands.items()}, rounds)


def _seconds(words: Words, cwd: Path | None) -> float:
    return process(words, cwd).seconds


def lacking_valgrind() -> str:
    return "" if which("valgrind") else "valgrind (apt-get install valgrind)"


def instructions(words: Words, cwd: Path, environ: Mapping[str, str], statuses: tuple[int, ...] = (0,)) -> int:
    """Instructions that a command executes in user space, children not included. statuses: exit codes it may have."""
    count = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--branch-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run(
        [*count, *map(str, words)], cwd=cwd, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if done.returncode not in statuses or found is None:
        raise SystemExit(f"{' '.join(map(str, words))} under valgrind: exit code {done.returncode}\n{done.stderr}")
    return int(found.group(1).replace(",", ""))


def root() -> Path:
    """The checkout whose policyc is measured: the one that Python imports."""
    import policyc

    return Path(policyc.__file__).parents[1]


def installed(folder: Path) -> Path:
    """Install the policyc that is measured into a new environment, as a user has it; its folder of programs.

    Without its dependencies: no command that is timed imports one.
    """
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    _prepare(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, root())
    _prepare(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    _prepare(*pip, "--python", python, "install", "--no-deps", "--no-index", *folder.glob("*.whl"))
    _prepare(python, "-m", "compileall", "-q", folder / "venv" / "lib")
    return folder / "venv" / "bin"


def _prepare(*words: str | Path) -> None:
    done = subprocess.run(
        [str(each) for each in words], env=clean(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}: exit code {done.returncode}\n{done.stdout}")
