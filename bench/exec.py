"""Exits a second of a VMM in C, bare and under ``policyc exec``.

The VMM is bench/exec.c. The rows: no library; a policy that lets the port through; one that counts it and passes it on.
Processor time; the rounds of all rows are interleaved, and each row's best counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.common import plots
from bench.common.figures import Figure, Result
from policyc.bundle.write import write_bundle
from policyc.pipeline import compile_policy
from policyc.verify.rom import compiler

HEAD = "language 1\ntarget vmx, kvm\ndefault passthrough\n"
POLICIES = {
    "let through": HEAD,
    "counted, passed on": HEAD + "a: intercept io 0x10 -> count, exit\n",
}


def rows(folder: Path, exits: int) -> dict[str, list[str]]:
    """Command lines by the name of their row."""
    cc = compiler()
    if cc is None:
        raise SystemExit("bench.exec needs a C compiler")
    vmm = folder / "vmm"
    subprocess.run([cc, "-O2", Path(__file__).with_suffix(".c"), "-o", vmm], check=True)
    found = {"bare": [str(vmm), str(exits)]}
    for name, text in POLICIES.items():
        source, bundle = folder / "vm.pol", folder / f"{len(found)}.bundle"
        source.write_text(text)
        write_bundle(str(bundle), compile_policy(str(source)).files)
        words = [sys.executable, "-m", "policyc", "exec", str(bundle), "--report", os.devnull, "--"]
        found[name] = [*words, *found["bare"]]
    return found


def measure(exits: int, rounds: int) -> dict[str, float]:
    """Exits a second by the name of the row, the bare loop first."""
    with tempfile.TemporaryDirectory() as folder:
        commands = rows(Path(folder), exits)
        best = dict.fromkeys(commands, 0.0)
        for _ in range(rounds):
            for name, words in commands.items():
                done = subprocess.run(words, capture_output=True, text=True, check=True)
                best[name] = max(best[name], float(done.stdout))
    return best


SUMMARY = "exits a second of a VMM in C on /dev/kvm under `policyc exec`"

PROMISED = {"let through": 1.15}
"""Times the bare loop, at most."""


def lacking() -> str:
    if compiler() is None:
        return "a C compiler (apt-get install gcc)"
    return "" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "/dev/kvm, readable and writable"


def result(quick: bool) -> Result:
    best = measure(20_000 if quick else 100_000, 3 if quick else 4)
    figures = []
    for name, rate in best.items():
        if name != "bare":
            figures.append(Figure(name, best["bare"] / rate, "x bare loop", PROMISED.get(name)))
        figures.append(Figure(f"{name}, rate", rate, "exits/s", more=True))
    bars = [plots.Bar(name, best["bare"] / rate, name != "bare") for name, rate in best.items()]
    what = "times the bare loop over KVM_RUN in C, in processor time"
    return Result(tuple(figures), {"exec.svg": plots.bars(bars, what, PROMISED)})
