"""VMMs for tests of ``policyc exec``: a small one in Python, whose guest and whose answers each test writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.demand import need
from tests.handler.samples import compiler
from tests.runtime.running import ROOT, assemble, available, written

HEAD = "language 1\ntarget vmx, kvm\ndefault passthrough\n"
VMM = """
import json, os, sys, threading
from policyc.architecture import kvm as api
from policyc.runtime.kvm import Kvm
from policyc.runtime.guest import flat, prepare
from policyc.runtime.acting import Fault
from policyc.runtime.endings import Stop

seen = []

class Exits:
    "A VMM whose every port reads its own number, and whose MSRs read 7."
    def port(self, port, width, write, value):
        seen.append(["out" if write else "in", port, value])
        return port
    def msr(self, index, write, value):
        seen.append(["wrmsr" if write else "rdmsr", index, value])
        return 7
    def other(self, what): ...
    def poll(self): ...

def machine(image):
    vm = Kvm()
    vm.start(prepare(flat(image, 16), 1 << 20))
    return vm

def run(vm):
    try:
        vm.run(Exits(), None)
    except Stop as stop:
        return stop.ending.text

image = open(sys.argv[1], "rb").read()
"""
"""The beginning of a VMM in Python, whose ioctl() is libc's like any other program's."""


def needs() -> None:
    available("kvm")
    need("cc", compiler("gcc") is not None, "apt-get install gcc")


def execed(policy: str, vmm, tmp_path: Path, *options: str, env=None) -> tuple[subprocess.CompletedProcess, list]:
    """The VMM's end, and what the report says, as objects."""
    bundle, report = written(policy, tmp_path), tmp_path / "report.json"
    words = [sys.executable, "-m", "policyc", "exec", bundle, "--report", report, "--format", "json", *options, "--"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path.parent / "cache")} | (env or {})
    done = subprocess.run(
        [*words, *vmm], capture_output=True, text=True, errors="replace", env=environment, timeout=120, check=False
    )
    text = report.read_text() if report.exists() else ""
    return done, [json.loads(line) for line in text.splitlines()]


def own_vmm(policy: str, guest: str, body: str, tmp_path: Path, *options: str):
    """Run VMM + body on an assembled guest: what the body prints as JSON, and the report."""
    needs()
    image, script = tmp_path / "guest.bin", tmp_path / "vmm.py"
    image.write_bytes(assemble(f"bits 16\norg 0x1000\n{guest}\n", 16))
    script.write_text(VMM + textwrap.dedent(body))
    done, report = execed(policy, [sys.executable, script, image], tmp_path, *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), report


def exits(report: list, kind: str, address: int) -> int:
    summary = report[-1]
    return sum(
        row["exits"]
        for rows in (summary["ports"], summary["msrs"])
        for row in rows
        if (row["kind"], row["address"]) == (kind, address)
    )


RDMSR = "mov ecx, {}\nmov eax, -1\nmov edx, eax\nrdmsr\nmov [di], eax\nmov [di+4], edx\nadd di, 8\n"
"""Reads an MSR and stores the answer at DI."""
