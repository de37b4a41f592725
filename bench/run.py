"""Times ``policyc run`` against the plainest loop over KVM_RUN that Python can have, in one process, turn by turn.

The plain loop decodes the exit and answers it; it asks no policy and counts nothing.
"""

from __future__ import annotations

import fcntl
import io
import os
import struct
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.common import plots
from bench.common.cost import turns
from bench.common.figures import Figure, Result
from policyc.architecture import kvm as api
from policyc.bundle.read import Bundle, load
from policyc.bundle.write import write_bundle
from policyc.database.names import load as names
from policyc.pipeline import compile_policy
from policyc.runtime.guest import flat, prepare
from policyc.runtime.kvm import Kvm
from policyc.runtime.lines import Lines
from policyc.runtime.session import Session

GUESTS = {
    "out": bytes.fromhex("ba8000 ee ebfd"),  # mov dx, 0x80; again: out dx, al; jmp again
    "in": bytes.fromhex("ba6000 ec ebfd"),  # mov dx, 0x60; again: in al, dx; jmp again
    "rdmsr": bytes.fromhex("66b98b000000 0f32 ebfc"),  # mov ecx, 0x8b; again: rdmsr; jmp again
}
PLAIN = "plain loop"
WAYS = {
    "let through": "intercept msr 0x8b read -> const(1)\n",
    "trapped": "intercept msr 0x8b read -> const(1)\nintercept io 0x60 in -> const(1)\nintercept io 0x80 -> drop\n",
    "counted": "intercept msr 0x8b read -> count, const(1)\nintercept io 0x60 in -> count, const(1)\n"
    "intercept io 0x80 -> count, drop\n",
    "conditional": "intercept msr 0x8b read -> const(1)\nintercept io 0x60 in -> const(1)\n"
    "intercept io 0x80 out when value & 0x10 != 0 -> kill\n",
}
"""Rules of each way. A read of the MSR exits only where it is trapped, so `let through` traps that alone; the last way,
whose condition decides anew each time, is for OUT."""


class Row(NamedTuple):
    """One measurement. rate: exits a second of processor time, the best of the rounds. ratio: of the plain loop's time, as much."""

    guest: str
    way: str
    rate: float
    ratio: float


def bundle(rules: str) -> Bundle:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "bench.pol")
        source.write_text(f"language 1\ntarget vmx, kvm\ndefault passthrough\n{rules}", encoding="ascii")
        write_bundle(str(Path(folder, "b")), compile_policy(str(source)).files)
        return load(str(Path(folder, "b")))


def plain(guest: str, exits: int) -> float:
    """Processor seconds of the plain loop."""
    with closing(Kvm()) as backend:
        backend.start(prepare(flat(GUESTS[guest], 16)))
        found = bundle_of["trapped"]
        backend.install("kvm", found.images("kvm"))
        run, vcpu, ioctl = backend._run, backend._vcpu, fcntl.ioctl
        before = time.process_time()
        for _ in range(exits):
            ioctl(vcpu, api.KVM_RUN, 0)
            (reason,) = struct.unpack_from("<I", run, 8)
            if reason == api.KVM_EXIT_IO:
                direction, size, _port, count, at = struct.unpack_from("<BBHIQ", run, 32)
                if direction == 0:
                    run[at : at + size * count] = b"\x01" * (size * count)
                else:
                    int.from_bytes(run[at : at + size], "little")
            elif reason == api.KVM_EXIT_X86_RDMSR:
                struct.unpack_from("<IIQ", run, 40)
                struct.pack_into("<Q", run, 48, 1)
            else:
                raise SystemExit(f"exit reason {reason}")
        return time.process_time() - before


def ours(guest: str, exits: int, way: str, lines: bool) -> float:
    """Processor seconds of a run under a policy. lines: one line an exit, written to memory."""
    observer = Lines(io.StringIO(), names(), exits=lines)
    with closing(Kvm()) as backend:
        start = prepare(flat(GUESTS[guest], 16))
        session = Session(backend, start, bundle_of[way], observer=observer, watch=lines, max_exits=exits)
        before = time.process_time()
        report = session.run()
        took = time.process_time() - before
        assert report.exits == exits
        return took


bundle_of: dict[str, Bundle] = {}


def measure(exits: int, rounds: int) -> list[Row]:
    """All ways in turn, round after round, so that a busy machine slows all of them alike."""
    bundle_of.update({way: bundle(rules) for way, rules in WAYS.items()})
    tries: dict[tuple[str, str], Callable[[], float]] = {}
    for guest in GUESTS:
        tries[guest, PLAIN] = partial(plain, guest, exits)
        for way in WAYS if guest == "out" else tuple(WAYS)[:-1]:
            tries[guest, way] = partial(ours, guest, exits, way, False)
        tries[guest, "a line each"] = partial(ours, guest, exits, "trapped", True)
    best = turns(tries, rounds)
    return [Row(*key, exits / took, took / best[key[0], PLAIN]) for key, took in best.items()]


SUMMARY = "exits a second of a guest on /dev/kvm under `policyc run`"


def lacking() -> str:
    return "" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "/dev/kvm, readable and writable"


def result(quick: bool) -> Result:
    rows = measure(5_000 if quick else 30_000, 3 if quick else 5)
    figures = []
    for row in rows:
        name = f"{row.guest}, {row.way}"
        if row.way != PLAIN:
            figures.append(Figure(name, row.ratio, "x plain loop", 2.0))
        figures.append(Figure(f"{name}, rate", row.rate, "exits/s", more=True))
    bars = [plots.Bar(f"{row.guest}, {row.way}", row.ratio, row.way != PLAIN) for row in rows]
    drawn = plots.bars(
        bars, "times the plain loop over KVM_RUN, in processor time", {bar.name: 2.0 for bar in bars if bar.ours}
    )
    return Result(tuple(figures), {"run.svg": drawn})
