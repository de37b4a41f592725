"""The embedded backend for machines without /dev/kvm: a simulation, and it says so.

Guests are interpreted; every RDMSR, WRMSR, IN and OUT is held against the images bit by bit, as the manuals say that
VT-x and SVM, or KVM's filter, do it. MSRs that policyc's database names exist and hold what is written to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from policyc.architecture import svm, vmx
from policyc.runtime.acting import Fault
from policyc.runtime.backend import EVERY_PORT, Exits, Ports
from policyc.runtime.filter import IMAGE, read_filter
from policyc.runtime.guest import Start
from policyc.runtime.interpreter import Processor
from policyc.vocabulary.access import PORT_LAST
from policyc.vocabulary.diagnostic import UnreadableError
from policyc.vocabulary.intervals import EMPTY, Intervals

if TYPE_CHECKING:
    from policyc.database.names import Database

_NAMES = (
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
)  # fmt: skip
_EFER, _EFER_KNOWN, _LME, _LMA = 0xC000_0080, 0xD01, 1 << 8, 1 << 10
_LONG_MODE = _LME | _LMA
_RESET = {0x1B: 0xFEE0_0900, 0x1A0: 1, 0x277: 0x0007_0406_0007_0406, 0x2FF: 0}
"""IA32_APIC_BASE, IA32_MISC_ENABLE (fast strings), IA32_PAT, IA32_MTRR_DEF_TYPE after a reset; others are 0."""
_TSC = 0x10


class Rules(NamedTuple):
    """What the images in force say of one access. port: of (first port, width). msr: of (index, write)."""

    port: Callable[[int, int], bool]
    msr: Callable[[int, bool], bool]


class Simulation:
    """target: whose rules to simulate; None: the first of ``targets`` that the bundle has."""

    name = "sim"
    simulated = True
    targets: tuple[str, ...] = ("vmx", "svm", "kvm")
    always_exits: Intervals = EMPTY

    def __init__(self, target: str | None = None) -> None:
        if target is not None:
            self.targets = (target,)
        self._asked = False
        self._ram = bytearray()

    def start(self, start: Start) -> None:
        self._ram = bytearray(start.memory)
        for address, data in start.pieces:
            self._ram[address : address + len(data)] = data
        self._msrs = {**_RESET, _EFER: _LONG_MODE if start.bits == 64 else 0}
        self._processor = Processor(start, self._ram, self)
        self._steps = 0

    def install(self, target: str, images: Mapping[str, bytes]) -> None:
        make = {"vmx": _vmx, "svm": _svm, "kvm": _kvm}[target]
        self.always_exits = EVERY_PORT if target == "kvm" else EMPTY
        self._rules = make(images)  # One assignment: an access sees the old images or the new ones.

    def run(self, exits: Exits, ports: Ports) -> NoReturn:
        self._exits, self._ports = exits, ports
        step = self._processor.step
        while True:
            step()
            self._steps += 1
            if self._asked:
                self.pause()

    def interrupt(self) -> None:
        self._asked = True

    # What the processor meets (policyc.runtime.interpreter.Bus).

    def port(self, port: int, width: int, write: bool, value: int) -> int:
        if self._rules.port(port, width):
            return self._exits.port(port, width, write, value)
        if not write:
            return self._ports.read_port(port, width)
        self._ports.write_port(port, width, value)
        return 0

    def msr(self, index: int, write: bool, value: int) -> int:
        if self._rules.msr(index, write):
            return self._exits.msr(index, write, value)
        if not write:
            return self.read_msr(index)
        self.write_msr(index, value)
        return 0

    def mmio(self) -> None:
        self._exits.other("mmio")

    def pause(self) -> None:
        if self._asked:
            self._asked = False
            self._exits.poll()

    # State.

    def cpl(self) -> int:
        """The interpreter knows the supervisor only."""
        return 0

    def read_msr(self, index: int) -> int:
        if index == _TSC:
            return self._steps
        if index in self._msrs:
            return self._msrs[index]
        if not _exists(index):
            raise Fault
        return self._msrs.setdefault(index, 0)

    def write_msr(self, index: int, value: int) -> None:
        before = self.read_msr(index)
        if index == _EFER:
            if value & ~_EFER_KNOWN or ((value ^ before) & _LME and before & _LMA):
                raise Fault
            value = value & ~_LMA | before & _LMA
        self._msrs[index] = value

    def registers(self) -> dict[str, int]:
        processor = self._processor
        named = dict(zip(_NAMES, processor.regs, strict=True))
        return {**named, "rip": processor.rip, "rflags": processor.flags}

    def memory(self) -> memoryview:
        return memoryview(self._ram)

    def notes(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        self._ram = bytearray()


@cache
def _database() -> Database:
    from policyc.database.names import load

    return load()


def _exists(index: int) -> bool:
    return _database().msr_name(index) is not None


def _sized(images: Mapping[str, bytes], name: str, size: int) -> bytes:
    data = images[name]
    if len(data) != size:
        raise UnreadableError(f"{name} has {len(data):,} bytes, not {size:,}")
    return data


def _vmx(images: Mapping[str, bytes]) -> Rules:
    """Intel SDM vol. 3C, 26.1.3: MSRs without a bit exit always; so do accesses that run past port 0xffff."""
    bitmap = _sized(images, "msr.bin", vmx.MSR_BITMAP_BYTES)
    ports = _sized(images, "io.bin", 2 * vmx.IO_BITMAP_BYTES)

    def msr(index: int, write: bool) -> bool:
        if vmx.LOW_FIRST <= index <= vmx.LOW_LAST:
            quarter = vmx.WRITE_LOW if write else vmx.READ_LOW
        elif vmx.HIGH_FIRST <= index <= vmx.HIGH_LAST:
            quarter = vmx.WRITE_HIGH if write else vmx.READ_HIGH
        else:
            return True
        number = index & 0x1FFF
        return bool(bitmap[quarter + (number >> 3)] >> (number & 7) & 1)

    def port(first: int, width: int) -> bool:
        if first + width - 1 > PORT_LAST:
            return True
        # Bitmap B follows A in io.bin, so that port / 8 is the byte in either.
        return any(ports[each >> 3] >> (each & 7) & 1 for each in range(first, first + width))

    return Rules(port, msr)


def _svm(images: Mapping[str, bytes]) -> Rules:
    """AMD APM vol. 2, 15.10 and 15.11: the bits behind port 0xffff decide for accesses that run past it."""
    map_ = _sized(images, "msrpm.bin", svm.MSRPM_BYTES)
    ports = _sized(images, "iopm.bin", svm.IOPM_BYTES)

    def msr(index: int, write: bool) -> bool:
        for vector, (first, last) in enumerate(svm.MSR_WINDOWS):
            if first <= index <= last:
                bit = 2 * (index - first) + int(write)
                return bool(map_[vector * svm.MSRPM_VECTOR_BYTES + (bit >> 3)] >> (bit & 7) & 1)
        return True

    def port(first: int, width: int) -> bool:
        return any(ports[each >> 3] >> (each & 7) & 1 for each in range(first, first + width))

    return Rules(port, msr)


def _kvm(images: Mapping[str, bytes]) -> Rules:
    """KVM: the filter for MSRs; every port exits."""
    return Rules(lambda first, width: True, read_filter(images[IMAGE]).exits)
