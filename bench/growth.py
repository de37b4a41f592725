"""Instructions that commands execute, in times of a fixed Python program's: what must not grow unseen.

Counted by valgrind, so that neither the machine nor its load matters: two runs differ by one in a hundred. What is promised is a quarter more than ``bench/baseline.json`` says for this version of Python;
``python -m bench.growth`` prints that file anew. Beyond that, `python -m bench` fails where a figure rose by more than a
quarter over the commit before.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.common.cost import clean, instructions, lacking_valgrind, root
from bench.common.figures import Figure, Result
from bench.policies import mixed
from bench.startup import plain

SUMMARY = "instructions of commands, in times of a fixed Python program's"

BASELINE = Path(__file__).with_name("baseline.json")
ALLOWED = 1.25
"""Times the baseline."""
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

FIXED = """
table, words = {}, []
for number in range(60_000):
    table[number * 7919 % 16384] = (number, number + 1)
    words.append(f"{number:#x}")
assert len(table) == 16384 and len(" ".join(words).split()) == 60_000
"""
"""About as many instructions as reading and proving a small policy: dictionaries, tuples, text."""

OURS = "import sys; from policyc.__main__ import main; sys.exit(main())"
"""As the installed script, without what pip writes into it, which differs from version to version."""

COMMANDS = {
    "--version": ("--version",),
    "check, 100 rules": ("check", "plain.pol"),
    "compile, 100 rules": ("compile", "plain.pol"),
    "check, 2,000 rules": ("check", "large.pol"),
    "check, 100 mixed lines": ("check", "mixed.pol"),
    "lint, 100 rules": ("lint", "plain.pol", "--no-config", "--format", "concise"),
    "prove implies, 100 rules": ("prove", "implies", "plain.pol", "plain.pol"),
    "explain, 100 rules": ("explain", "plain.pol", "in", "0x60"),
    "fmt, 100 mixed lines": ("fmt", "--diff", "mixed.pol"),
}


def lacking() -> str:
    return lacking_valgrind()


def result(quick: bool) -> Result:
    """quick changes nothing: a count needs no second round."""
    baseline = json.loads(BASELINE.read_text(encoding="ascii")).get(VERSION, {})
    if not baseline:
        print(f"growth: {BASELINE.name} says nothing for Python {VERSION}", file=sys.stderr)
    figures = []
    for name, value in measure().items():
        most = baseline[name] * ALLOWED if name in baseline else None
        figures.append(Figure(name, value, "x fixed program", most, steady=True))
    return Result(tuple(figures))


def measure() -> dict[str, float]:
    """Each command's instructions over the fixed program's."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "plain.pol").write_text(plain(100), encoding="ascii")
        (folder / "large.pol").write_text(plain(2000), encoding="ascii")
        (folder / "mixed.pol").write_text(mixed(100), encoding="ascii")
        programs = {"fixed": (FIXED,)} | {name: (OURS, *words) for name, words in COMMANDS.items()}
        environ = clean(PYTHONPATH=str(root()), PYTHONPYCACHEPREFIX=str(folder / "compiled"))

        def count(words: tuple[str, ...]) -> int:
            command = [sys.executable, "-c", *words]
            # Once without counting: modules are compiled on their first use.
            subprocess.run(command, cwd=folder, env=environ, capture_output=True, check=False)
            return instructions(command, folder, environ, statuses=(0, 1))

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = dict(zip(programs, pool.map(count, programs.values()), strict=True))
    fixed = found.pop("fixed")
    return {name: each / fixed for name, each in found.items()}


if __name__ == "__main__":
    known = json.loads(BASELINE.read_text(encoding="ascii")) if BASELINE.exists() else {}
    known[VERSION] = {name: round(value, 3) for name, value in measure().items()}
    print(json.dumps(known, indent=1, sort_keys=True))
