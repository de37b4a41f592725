"""What the reference hypervisor is asked, and what it answers: runtime/reference/probe.c speaks the other half."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from policyc.vocabulary.diagnostic import UnreadableError

KINDS = ("rdmsr", "wrmsr", "in", "out", "in immediate", "out immediate", "ins", "outs")
"""By their numbers in the payload."""

READS = ("rdmsr", "in", "in immediate", "ins")

ADDRESS = 0x200000
"""Where the payload lies in the machine's memory."""

LARGEST_PAYLOAD = 128 << 10
"""Bytes. Bochs fills memory in blocks of this size and misplaces a file that spans two of them."""

_MAGIC, _VERSION, _PAGE = 0x50594C50, 3, 4096
_SWEEP = struct.Struct("<BBBxII")


class Sweep(NamedTuple):
    """Accesses of one form at ``length`` addresses from ``first`` on. width: bytes, 8 for MSRs. repeat: REP."""

    kind: str
    width: int
    first: int
    length: int = 1
    repeat: bool = False

    @property
    def access(self) -> str:
        """``rdmsr``, ``wrmsr``, ``in`` or ``out``."""
        return {"ins": "in", "outs": "out"}.get(self.kind, self.kind.split()[0])


class Answer(NamedTuple):
    """letter: ``x`` an exit, ``.`` none, ``g`` none but #GP, ``?`` anything else. reason: exit reason or code.

    info1: exit qualification or EXITINFO1, bits 31:16 taken away where they hold the port of the access. info2:
    EXITINFO2, from the instruction's first byte.
    """

    letter: str
    reason: int = 0
    info1: int = 0
    info2: int = 0


class Run(NamedTuple):
    """``length`` neighbouring addresses with the same answer."""

    length: int
    answer: Answer


def header(target: str, msr: int, io: int, probes: int = 0, controls: int = 0, guest: tuple[int, ...] = ()) -> bytes:
    """The payload's first page: struct payload of runtime/reference/hv.h. msr, io: bytes of the images that follow.

    guest: EIP, ESP, the nonce, struct guest_start, and what follows it; without one it is for probes.
    """
    fields = (_MAGIC, _VERSION, target == "svm", _PAGE, _PAGE + msr, _PAGE + msr + io, probes, controls, not guest)
    return struct.pack(f"<{len(fields) + len(guest)}I", *fields, *guest).ljust(_PAGE, b"\0")


def payload(target: str, msr: bytes, io: bytes, sweeps: Sequence[Sweep], controls: int = 0) -> bytes:
    """The image of memory that the hypervisor boots with. controls: of VT-x, instead of the right ones, unless 0."""
    first = header(target, len(msr), len(io), len(sweeps), controls)
    rows = b"".join(
        _SWEEP.pack(KINDS.index(each.kind), each.width, each.repeat, each.first, each.length) for each in sweeps
    )
    whole = first + msr + io + rows
    if len(whole) > LARGEST_PAYLOAD:
        raise ValueError(f"a payload of {len(whole):,} bytes")
    return whole


_TOKEN = re.compile(r"\(([0-9a-f]+),([0-9a-f]+),([0-9a-f]+)\)|([0-9a-f]*)([.gx?])")


def answers(sweep: Sweep, line: str) -> tuple[Run, ...]:
    """The answers on one sweep. Raises UnreadableError for a line that does not answer every address once."""
    runs: list[Run] = []
    told = (0, 0, 0)
    at = 0
    while at < len(line):
        token = _TOKEN.match(line, at)
        if token is None:
            raise UnreadableError(f"the reference hypervisor answers {line[at : at + 20]!r}")
        at = token.end()
        if token[5] is None:
            told = (int(token[1], 16), int(token[2], 16), int(token[3], 16))
            continue
        details = told if token[5] in "x?" else (0, 0, 0)
        runs.append(Run(int(token[4] or "1", 16), Answer(token[5], *details)))
    total = sum(each.length for each in runs)
    if total != sweep.length:
        raise UnreadableError(f"the reference hypervisor answers {total:,} of {sweep.length:,} probes")
    return tuple(runs)


def exits(runs: Iterable[Run]) -> bytes:
    """One character an address: ``1`` where there was an exit for the access, else ``0``."""
    return b"".join((b"1" if each.answer.letter == "x" else b"0") * each.length for each in runs)


def told_of_exit(target: str, sweep: Sweep, address: int) -> Answer:
    """What the manuals say the processor tells of an exit.

    VMX: basic exit reasons and the qualification for I/O instructions (Intel SDM vol. 3C, table 28-5). SVM: EXITINFO1
    and EXITINFO2 of IOIO and MSR intercepts (AMD APM vol. 2, 15.10.2 and 15.11); addresses have 64 bits here. KVM: exit
    reason, and the MSR exit's reason, or direction and size of the port access (api.rst, struct kvm_run).
    """
    read = sweep.kind in READS
    string, immediate = sweep.kind in ("ins", "outs"), sweep.kind.endswith("immediate")
    if target == "kvm":
        if sweep.access in ("rdmsr", "wrmsr"):
            return Answer("x", 29 if read else 30, 4)
        return Answer("x", 2, (not read) << 8 | sweep.width)
    if sweep.access in ("rdmsr", "wrmsr"):
        return Answer("x", 0x7C, not read) if target == "svm" else Answer("x", 31 if read else 32)
    if target == "vmx":
        return Answer("x", 30, sweep.width - 1 | read << 3 | string << 4 | sweep.repeat << 5 | immediate << 6)
    info1 = int(read) | string << 2 | sweep.repeat << 3 | sweep.width << 4 | 1 << 9
    return Answer("x", 0x7B, info1, (sweep.width == 2) + sweep.repeat + 1 + immediate)
