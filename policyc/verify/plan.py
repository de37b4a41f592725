"""The accesses that an executor is asked to make, and whether the evaluator says that each one exits.

Every MSR of the windows, read and written; MSRs outside; IN at every port and width. The other forms of I/O
instructions consult the same bits, so they are sampled: at ports around each change and at the ends of the maps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from policyc.proof.rows import PORTS, WINDOWS
from policyc.verify.probes import Sweep
from policyc.verify.told import Told
from policyc.vocabulary.access import IN1, IN2, IN4, MSR_LAST, MSR_READ, MSR_WRITE, OUT1, OUT2, OUT4, PORT_LAST, Access
from policyc.vocabulary.intervals import Intervals, normal

STEP = 8192
"""Addresses of one sweep at most: as often is progress told."""

KVM_STEP = 1024
"""The same for KVM."""

MOST_SAMPLES = 160
"""Ports at which the sampled forms are tried."""

_ENDS = (0x0000, 0x0001, 0x0002, 0x7FFD, 0x7FFE, 0x7FFF, 0x8000, 0x8001, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF)
_OUTSIDE = (0x2000, 0x4000_0000, 0x4B56_4D00, 0xBFFF_FFFF, 0xC000_2000, 0xC001_2000, 0xFFFF_FFFF)

DANGEROUS: Intervals = ((0x64, 0x64), (0x92, 0x92), (0xE9, 0xE9), (0xF4, 0xF4), (0x402, 0x402), (0x604, 0x604))
DANGEROUS += ((0xCF9, 0xCF9), (0x8900, 0x8903))
"""Ports of the emulators where an OUT that is let through ends or silences the machine; none is tried near them."""


class Question(NamedTuple):
    """expected: one character an address of the sweep, ``1`` where the access exits."""

    sweep: Sweep
    column: int
    expected: bytes


def questions(told: Told, target: str) -> tuple[Question, ...]:
    """All that an executor with this target's images is asked."""
    return (*_msrs(told, target), *_outside(told, target), *_in(told, target), *_sampled(told, target))


def kvm_questions(told: Told, ranges: Sequence[tuple[int, int]]) -> tuple[Question, ...]:
    """All that KVM is asked: the MSRs of every window there is, the x2APIC's among them, those that the filter's ranges
    name (first and last of each), MSRs outside, sampled ports."""
    asked: list[Question] = []
    spots = [(msr, msr) for msr in _OUTSIDE]
    named = [(lo, min(hi, MSR_LAST)) for lo, hi in ranges if lo <= hi]
    for first, last in normal((*WINDOWS["svm"], *spots, *named)):
        for column, kind in ((MSR_READ, "rdmsr"), (MSR_WRITE, "wrmsr")):
            expected = told.msr.stretch("kvm", column, first, last)
            for at in range(first, last + 1, KVM_STEP):
                part = expected[at - first : at - first + KVM_STEP]
                asked.append(Question(Sweep(kind, 8, at, len(part)), column, part))
    for width, reads, writes in ((1, IN1, OUT1), (2, IN2, OUT2), (4, IN4, OUT4)):
        for kind, column in (("in", reads), ("out", writes)):
            for first, count in _joined(sorted({*_ENDS, *range(0x10, PORTS, 0x101)})):
                ports = range(first, first + count)
                exits = [told.verdict(Access(kind, port, width), "kvm").exits for port in ports]
                asked.append(Question(Sweep(kind, width, first, count), column, bytes(48 + each for each in exits)))
    return tuple(asked)


def accesses(asked: Iterable[Question]) -> int:
    return sum(each.sweep.length for each in asked)


def _msrs(told: Told, target: str) -> Iterator[Question]:
    for first, last in WINDOWS[target]:
        for column, kind in ((MSR_READ, "rdmsr"), (MSR_WRITE, "wrmsr")):
            expected = told.msr.stretch(target, column, first, last)
            for at in range(first, last + 1, STEP):
                part = expected[at - first : at - first + STEP]
                yield Question(Sweep(kind, 8, at, len(part)), column, part)


def _outside(told: Told, target: str) -> Iterator[Question]:
    """MSRs without a bit, next to the windows and far from them."""
    for msr in _OUTSIDE:
        if any(first <= msr <= last for first, last in WINDOWS[target]):
            continue
        for column, kind in ((MSR_READ, "rdmsr"), (MSR_WRITE, "wrmsr")):
            verdict = told.verdict(Access(kind, msr), target)
            yield Question(Sweep(kind, 8, msr), column, b"1" if verdict.exits else b"0")


def _in(told: Told, target: str) -> Iterator[Question]:
    for width, column in ((1, IN1), (2, IN2), (4, IN4)):
        expected = _row(told.io.starts(target, width))
        for at in range(0, PORTS, STEP):
            yield Question(Sweep("in", width, at, STEP), column, expected[at : at + STEP])


def _sampled(told: Told, target: str) -> Iterator[Question]:
    rows = {width: _row(told.io.starts(target, width)) for width in (1, 2, 4)}
    ports = _samples(rows[1])
    for width, reads, writes in ((1, IN1, OUT1), (2, IN2, OUT2), (4, IN4, OUT4)):
        safe = [port for port in ports if not _dangerous(port, width)]
        forms = [("out", writes, safe, False)]
        forms += [("ins", reads, ports, repeat) for repeat in (False, True)]
        forms += [("outs", writes, safe, repeat) for repeat in (False, True)]
        forms += [("in immediate", reads, [port for port in ports if port < 0x100], False)]
        forms += [("out immediate", writes, [port for port in safe if port < 0x100], False)]
        for kind, column, chosen, repeat in forms:
            for first, count in _joined(chosen):
                expected = rows[width][first : first + count]
                yield Question(Sweep(kind, width, first, count, repeat), column, expected)


def _row(starts: int) -> bytes:
    """A number whose bit n is port n, as one character a port."""
    return f"{starts:0{PORTS}b}"[::-1].encode("ascii")


def _samples(row: bytes) -> list[int]:
    """Ports around each change of a row, and at the ends of the maps; where that is too much, evenly fewer."""
    changes = [port for port in range(1, PORTS) if row[port] != row[port - 1]]
    most = max(1, (MOST_SAMPLES - len(_ENDS)) // 7)
    step = max(1, -(-len(changes) // most))
    around = {port + offset for port in changes[::step] for offset in range(-4, 3)}
    return sorted({port for port in around if 0 <= port <= PORT_LAST} | set(_ENDS))


def _dangerous(port: int, width: int) -> bool:
    """Whether any byte of the access, or of its neighbours, is a port that an OUT must not reach."""
    return any(port - 3 <= last and first <= port + width + 2 for first, last in DANGEROUS)


def _joined(ports: list[int]) -> Iterator[tuple[int, int]]:
    """Runs of neighbours as first and count."""
    start = 0
    for at in range(1, len(ports) + 1):
        if at == len(ports) or ports[at] != ports[at - 1] + 1:
            if ports[start:at]:
                yield ports[start], at - start
            start = at
