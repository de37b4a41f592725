"""Reading and running the ```console blocks of the documentation.

The convention, all of it:

* A ```policy block (or ```yaml, ```json) after a line that ends in ``Write `NAME`:`` is the file NAME of the page's
  folder, which is new and shared by all blocks of the page, in their order.
* In a ```console block a line ``$ COMMAND`` is run by bash in that folder. It must exit with 0, or with N where the
  line ends in ``# exits with N``.
* Lines after a command are what it prints, standard output and error together. A line ``...`` stands for any number of
  lines. Where no line follows, the output is not looked at.

``POLICYC_UPDATE=1 python -m pytest tests/docs/test_console.py`` puts what is printed now in place of output that differs
and has no ``...``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
WILD = "..."

_BLOCK = re.compile(r"^```(\w+)[^\n]*\n((?:.*\n)*?)```$", re.MULTILINE)
_NAMED = re.compile(r"Write `([\w.-]+)`:\s*\Z")
_STATUS = re.compile(r"# exits with (\d)$")


class File(NamedTuple):
    name: str
    text: str


class Command(NamedTuple):
    """line: of the page, from 1. start..end: characters of the page that show its output."""

    line: int
    words: str
    status: int
    shown: tuple[str, ...]
    start: int
    end: int


def steps(page: str) -> list[File | Command]:
    """What a page writes and runs, in its order."""
    found: list[File | Command] = []
    for block in _BLOCK.finditer(page):
        named = _NAMED.search(page, max(0, block.start() - 200), block.start())
        if block.group(1) == "console":
            found += _commands(page, block.start(2), block.group(2))
        elif named is not None:
            found.append(File(named.group(1), block.group(2)))
    return found


def _commands(page: str, at: int, text: str) -> list[Command]:
    found = []
    for part in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        status = _STATUS.search(part.group(1))
        found.append(
            Command(
                page.count("\n", 0, at + part.start()) + 1,
                part.group(1),
                int(status.group(1)) if status else 0,
                tuple(part.group(2).splitlines()),
                at + part.start(2),
                at + part.end(2),
            )
        )
    return found


def environment(folder: Path) -> dict[str, str]:
    """Where ``policyc`` is the one of this checkout, and nothing of the user's surroundings matters."""
    bin_ = folder / "bin"
    bin_.mkdir()
    script = bin_ / "policyc"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m policyc "$@"\n')
    script.chmod(0o755)
    return {
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONUTF8": "1",
        "LC_ALL": "C.UTF-8",
        "HOME": str(folder),
        "COLUMNS": "120",
    }


def run(words: str, folder: Path, around: dict[str, str]) -> tuple[int, list[str]]:
    """Exit status and printed lines."""
    done = subprocess.run(
        ["bash", "-c", words], cwd=folder, env=around, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, [line.rstrip() for line in done.stdout.decode("utf-8").splitlines()]


def fits(shown: tuple[str, ...] | list[str], printed: list[str]) -> bool:
    """Whether printed lines are the shown ones, a ``...`` standing for any number of lines."""
    pattern = "".join("(?:.*\n)*?" if line == WILD else re.escape(line) + "\n" for line in shown)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None
