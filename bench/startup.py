"""What a short command costs, in times of the same environment's ``python -c pass``, with other compilers beside.

policyc is installed from its wheel, as a user has it, into an environment without anything else.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from bench import peers
from bench.common import plots
from bench.common.cost import Words, installed, processes
from bench.common.figures import Figure, Result

SUMMARY = "processor time of short commands, in times of a bare interpreter"

RULES = 100
PROMISED = {"policyc --version": 2.0, "policyc check": 6.0, "policyc compile": 12.0}
BARE = "python -c pass"


def lacking() -> str:
    missing = [name for name in ("build", "hatchling") if find_spec(name) is None]
    return f"{' and '.join(missing)} (pip install -e '.[test]')" if missing else ""


def plain(rules: int) -> str:
    """That many disjoint one-line rules: ports in and out, single MSRs in both windows, three actions."""
    lines = ["language 1", "target vmx, kvm", "default passthrough"]
    for number in range(rules):
        at, action = number // 2, ("drop", "log, exit", "count, exit")[number % 3]
        if number % 2:
            lines.append(f"intercept msr {(0x100, 0xC0000100)[at % 2] + at:#x} write -> log, exit")
        else:
            lines.append(f"intercept io {at * 8:#x}..{at * 8 + 1:#x} {('in', 'out')[at % 2]} -> {action}")
    return "\n".join(lines) + "\n"


def result(quick: bool) -> Result:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        found = processes(_commands(folder), 5 if quick else 31, folder)
    bare = found[BARE]
    figures = [Figure(name, took / bare, "x bare", PROMISED.get(name)) for name, took in found.items() if name != BARE]
    figures.append(Figure(BARE, bare * 1000, "ms"))
    bars = [plots.Bar(each.name, each.value, each.name.startswith("policyc")) for each in figures[:-1]]
    drawn = plots.bars(bars, f"times `python -c pass`, jobs of {RULES} rules; red: promised at most", PROMISED)
    return Result(tuple(figures), {"startup.svg": drawn})


def _commands(folder: Path) -> dict[str, Words]:
    """Command lines by the name of their row."""
    programs = installed(folder)
    (folder / "vm.pol").write_text(plain(RULES), encoding="ascii")
    policyc = programs / "policyc"
    commands: dict[str, Words] = {
        BARE: [programs / "python", "-c", "pass"],
        "policyc --version": [policyc, "--version"],
        "policyc check": [policyc, "check", "vm.pol"],
        "policyc compile": [policyc, "compile", "vm.pol", "-o", "vm.bundle"],
        "import lark": [sys.executable, "-c", "import lark"],
    }
    for peer in peers.installed():
        commands[peer.name()] = peer.job(folder, RULES)
    return commands
