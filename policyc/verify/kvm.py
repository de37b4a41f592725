"""/dev/kvm as an executor: the bundle's MSR filter installed in a virtual machine, every access made by a guest.

Each probe is one instruction and a HLT in real mode, on one vCPU without an interrupt controller, so that a HLT comes
back. KVM has no port policy: that every port access exits is tried at samples.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import os
import platform
import struct
from collections.abc import Iterator, Sequence
from time import perf_counter

from policyc.architecture.kvm import (
    KVM_CAP_X86_USER_SPACE_MSR,
    KVM_MSR_EXIT_REASON_FILTER,
    KVM_MSR_FILTER_MAX_RANGES,
    KVM_X86_SET_MSR_FILTER,
)
from policyc.bundle.read import Bundle
from policyc.proof import kvm
from policyc.proof.evaluate import Verdict
from policyc.verify.compare import Find, Spot, compare
from policyc.verify.plan import kvm_questions
from policyc.verify.probes import Answer, Run, Sweep
from policyc.verify.results import Begin, Listener, Result, alike, variant_name
from policyc.verify.told import told
from policyc.vocabulary.access import Access
from policyc.vocabulary.diagnostic import UnreadableError

IMAGE = "kvm_filter.json"
DEVICE = "/dev/kvm"

# include/uapi/linux/kvm.h
_CHECK_EXTENSION, _CREATE_VM, _GET_VCPU_MMAP_SIZE, _CREATE_VCPU, _RUN = 0xAE03, 0xAE01, 0xAE04, 0xAE41, 0xAE80
_SET_USER_MEMORY_REGION, _GET_REGS, _SET_REGS = 0x4020AE46, 0x8090AE81, 0x4090AE82
_GET_SREGS, _SET_SREGS, _GET_MSRS, _ENABLE_CAP = 0x8138AE83, 0x4138AE84, 0xC008AE88, 0x4068AEA3
_CAP_MSR_FILTER = 189
_EXIT_IO, _EXIT_HLT = 2, 5
_EXIT_MSR = (29, 30)

_MEMORY, _CODE, _STACK, _FAULTS = 0x10000, 0x1000, 0x8000, 0x600
_RAX, _RCX, _RDX, _RSP, _RIP, _RFLAGS = 0, 2, 3, 6, 16, 17
"""Places in struct kvm_regs."""
_HLT = b"\xf4"
_OPCODES = {"rdmsr": b"\x0f\x32", "wrmsr": b"\x0f\x30", "in": b"\xec", "out": b"\xee"}


class Kvm:
    """The executor ``kvm``."""

    name = "kvm"
    target: str | None = "kvm"
    unasked = True

    def missing(self) -> tuple[str, ...]:
        try:
            device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
        except OSError as reason:
            return (f"{DEVICE}: {(reason.strerror or 'it does not open').lower()}",)
        try:
            able = all(
                fcntl.ioctl(device, _CHECK_EXTENSION, each) > 0
                for each in (KVM_CAP_X86_USER_SPACE_MSR, _CAP_MSR_FILTER)
            )
        except OSError:
            able = False
        finally:
            os.close(device)
        return () if able else (f"a {DEVICE} that filters MSRs: Linux 5.10 or newer",)

    def verify(self, bundle: Bundle, profile: str | None, begin: Begin) -> Iterator[Result]:
        for numbers in alike(bundle, "kvm", profile):
            start = perf_counter()
            path = bundle.manifest.variants[numbers[0]].images["kvm"][IMAGE]
            expected = told(bundle.manifest, numbers[0], "kvm")
            filter_ = _filter(bundle.file(path))
            asked = kvm_questions(expected, [(each.base, each.base + each.nmsrs - 1) for each in filter_.ranges])
            listen = begin(f"{self.name}, {variant_name(bundle, numbers[0])}")
            try:
                rows = ask(filter_, [each.sweep for each in asked], listen)
            except OSError as reason:
                raise UnreadableError(f"{DEVICE}: {reason.strerror}") from None
            compared = compare(expected, "kvm", in_filter(filter_), asked, rows, 0)
            names = tuple(variant_name(bundle, number) for number in numbers)
            tools = (f"KVM of {platform.system()} {platform.release()}",)
            yield Result(self.name, names, tools, perf_counter() - start, compared)


def _filter(data: bytes) -> kvm.Filter:
    """The filter in its file. Raises UnreadableError for one that KVM would refuse."""
    try:
        return kvm.read(data)
    except kvm.FilterError as reason:
        raise UnreadableError(f"{IMAGE} is no filter that KVM takes: {reason}") from None


def in_filter(filter_: kvm.Filter) -> Find:
    """The bit that the first range with the MSR has for it. In KVM's bitmaps a 1 lets an access through."""

    def find(access: Access, verdict: Verdict) -> Spot | None:
        place = (
            kvm.place(filter_, access.address, access.kind == "wrmsr") if access.kind in ("rdmsr", "wrmsr") else None
        )
        if place is None or place.value != verdict.exits:
            return None
        return Spot(IMAGE, place.byte, place.bit, int(not verdict.exits), place.range)

    return find


def ask(filter_: kvm.Filter, sweeps: Sequence[Sweep], listen: Listener) -> list[tuple[Run, ...]]:
    """What KVM answers under a filter: one row of runs a sweep. Raises OSError for a filter that it refuses."""
    total, done = sum(each.length for each in sweeps), 0
    rows = []
    with _Machine(filter_) as machine:
        for sweep in sweeps:
            listen(done / total)
            rows.append(_swept(machine, sweep))
            done += sweep.length
    return rows


def _swept(machine: _Machine, sweep: Sweep) -> tuple[Run, ...]:
    runs: list[Run] = []
    machine.load(sweep)
    for address in range(sweep.first, sweep.first + sweep.length):
        answer = machine.ask(sweep, address)
        if runs and runs[-1].answer == answer:
            runs[-1] = Run(runs[-1].length + 1, answer)
        else:
            runs.append(Run(1, answer))
    return tuple(runs)


class _Machine:
    """One vCPU in real mode under a filter. Everything is closed at the end of its block."""

    def __init__(self, filter_: kvm.Filter) -> None:
        self._filter = filter_
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> _Machine:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _held(self, handle: int) -> int:
        self._stack.callback(os.close, handle)
        return handle

    def _start(self) -> None:
        device = self._held(os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC))
        machine = self._held(fcntl.ioctl(device, _CREATE_VM, 0))
        self._memory = mmap.mmap(-1, _MEMORY)
        self._stack.callback(self._memory.close)
        held = ctypes.c_char.from_buffer(self._memory)
        region = struct.pack("<IIQQQ", 0, 0, 0, _MEMORY, ctypes.addressof(held))
        del held
        fcntl.ioctl(machine, _SET_USER_MEMORY_REGION, region)
        for vector in range(32):
            self._memory[4 * vector : 4 * vector + 4] = struct.pack("<HH", _FAULTS + vector, 0)
        self._memory[_FAULTS : _FAULTS + 32] = _HLT * 32
        self._vcpu = self._held(fcntl.ioctl(machine, _CREATE_VCPU, 0))
        self._run = mmap.mmap(self._vcpu, fcntl.ioctl(device, _GET_VCPU_MMAP_SIZE, 0))
        self._stack.callback(self._run.close)
        sregs = bytearray(312)
        fcntl.ioctl(self._vcpu, _GET_SREGS, sregs)
        struct.pack_into("<QIH", sregs, 0, 0, 0xFFFF, 0)  # CS begins at 0, not at the reset vector's segment.
        fcntl.ioctl(self._vcpu, _SET_SREGS, bytes(sregs))
        self._install(machine)

    def _install(self, machine: int) -> None:
        """The capability first: without it KVM answers a denied access by #GP, and tells nobody."""
        reasons = struct.pack("<II4Q64x", KVM_CAP_X86_USER_SPACE_MSR, 0, KVM_MSR_EXIT_REASON_FILTER, 0, 0, 0)
        fcntl.ioctl(machine, _ENABLE_CAP, reasons)
        buffers = []
        data = struct.pack("<II", self._filter.deny, 0)
        for each in self._filter.ranges:
            size = -(-each.nmsrs // 64) * 8
            buffers.append(ctypes.create_string_buffer(each.bits.to_bytes(size, "little"), size or 8))
            data += struct.pack("<IIIIQ", each.flags, each.nmsrs, each.base, 0, ctypes.addressof(buffers[-1]))
        fcntl.ioctl(machine, KVM_X86_SET_MSR_FILTER, data.ljust(8 + 24 * KVM_MSR_FILTER_MAX_RANGES, b"\0"))

    def load(self, sweep: Sweep) -> None:
        """Put a sweep's instruction where the guest runs it."""
        code = _OPCODES[sweep.kind]
        if sweep.width in (2, 4):  # The code segment is one of 16 bits: a prefix makes it 32.
            code = b"\x66" * (sweep.width == 4) + bytes([code[0] | 1])
        self._code = len(code)
        self._memory[_CODE : _CODE + 16] = (code + _HLT).ljust(16, _HLT)

    def ask(self, sweep: Sweep, address: int) -> Answer:
        msr = sweep.access in ("rdmsr", "wrmsr")
        # A write that gets through must not change anything.
        value = self._read(address) if sweep.kind == "wrmsr" else 0
        regs = [0] * 18
        regs[_RCX if msr else _RDX] = address
        regs[_RAX] = value & 0xFFFF_FFFF
        if msr:
            regs[_RDX] = value >> 32
        regs[_RSP], regs[_RIP], regs[_RFLAGS] = _STACK, _CODE, 2
        fcntl.ioctl(self._vcpu, _SET_REGS, struct.pack("<18Q", *regs))
        fcntl.ioctl(self._vcpu, _RUN, 0)
        answer = self._answer(address)
        if answer.letter == "x":
            self._finish()
        return answer

    def _answer(self, address: int) -> Answer:
        reason = struct.unpack_from("<I", self._run, 8)[0]
        if reason == _EXIT_HLT:
            regs = bytearray(144)
            fcntl.ioctl(self._vcpu, _GET_REGS, regs)
            rip = struct.unpack_from("<18Q", regs)[_RIP] - 1
            if rip == _CODE + self._code:
                return Answer(".")
            return Answer("g") if rip == _FAULTS + 13 else Answer("?", reason, rip)
        if reason in _EXIT_MSR:
            why, index = struct.unpack_from("<II", self._run, 40)
            return Answer("x", reason, why) if index == address else Answer("?", reason, index)
        if reason == _EXIT_IO:
            direction, size, port = struct.unpack_from("<BBH", self._run, 32)
            return Answer("x", reason, direction << 8 | size) if port == address else Answer("?", reason, port)
        return Answer("?", reason)

    def _finish(self) -> None:
        """Let the exit's instruction come to its end, and run no other."""
        self._run[1] = 1
        with contextlib.suppress(InterruptedError):
            fcntl.ioctl(self._vcpu, _RUN, 0)
        self._run[1] = 0

    def _read(self, msr: int) -> int:
        """An MSR's value, past the filter; 0 where it cannot be read."""
        data = bytearray(struct.pack("<IIIIQ", 1, 0, msr, 0, 0))
        try:
            done = fcntl.ioctl(self._vcpu, _GET_MSRS, data)
        except OSError:
            return 0
        return int(struct.unpack_from("<Q", data, 16)[0]) if done == 1 else 0
