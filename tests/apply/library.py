"""runtime/apply as a library of this machine, with a VMCS, a VMCB and capability MSRs that are Python's."""

from __future__ import annotations

import ctypes as c
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tests.handler.samples import WARNINGS, compiler

FOLDER = Path(__file__).parents[2] / "runtime/apply"
SOURCES = sorted(FOLDER.glob("*.c"))

APPLIED, NO_IMAGE, UNALIGNED, SCATTERED, TOO_HIGH, NO_IO, NO_MSR, BAD, NOT_IN_FORCE, WRAP_OPEN, FAILED = range(11)

VMREAD = c.CFUNCTYPE(c.c_bool, c.c_void_p, c.c_uint32, c.POINTER(c.c_uint64))
VMWRITE = c.CFUNCTYPE(c.c_bool, c.c_void_p, c.c_uint32, c.c_uint64)
RDMSR = c.CFUNCTYPE(c.c_uint64, c.c_void_p, c.c_uint32)
PHYSICAL = c.CFUNCTYPE(c.c_uint64, c.c_void_p, c.c_void_p)


class VmxPorts(c.Structure):
    _fields_ = [("vmread", VMREAD), ("vmwrite", VMWRITE), ("rdmsr", RDMSR), ("physical", PHYSICAL), ("bits", c.c_uint8)]


class VmxImages(c.Structure):
    _fields_ = [("msr", c.c_void_p), ("io_a", c.c_void_p), ("io_b", c.c_void_p)]


class SvmPorts(c.Structure):
    _fields_ = [("physical", PHYSICAL), ("bits", c.c_uint8)]


class SvmImages(c.Structure):
    _fields_ = [("msrpm", c.c_void_p), ("iopm", c.c_void_p)]


@cache
def library() -> c.CDLL:
    out = Path(mkdtemp()) / "apply.so"
    words = [compiler("gcc"), "-std=c11", *WARNINGS, "-O1", "-shared", "-fPIC", *SOURCES, "-o", out]
    subprocess.run([str(each) for each in words], check=True, timeout=60)
    made = c.CDLL(str(out))
    made.policyc_apply_reason.restype = c.c_char_p
    return made


class Vmcs:
    """A VMCS: fields by number. log: every VMWRITE that worked, in order. broken: fields whose VMWRITE fails."""

    def __init__(self, **msrs: int) -> None:
        # As a Haswell has them: TRUE controls exist; what must be one, what may be.
        self.msrs = {0x480: 1 << 55, 0x482: 0xFFF9FFFE_0401E172, 0x48E: 0xFFF9FFFE_04006172}
        self.msrs |= {int(name[1:], 16): value for name, value in msrs.items()}
        self.fields = {0x2000: 0, 0x2002: 0, 0x2004: 0, 0x4002: 0}
        self.log: list[tuple[int, int]] = []
        self.broken: set[int] = set()
        self.bits = 39

    def read(self, _: Any, field: int, value: Any) -> bool:
        if field not in self.fields:
            return False
        value[0] = self.fields[field]
        return True

    def write(self, _: Any, field: int, value: int) -> bool:
        if field in self.broken or field not in self.fields:
            return False
        self.fields[field] = value
        self.log.append((field, value))
        return True

    def call(self, name: str, msr: int | None, io_a: int | None, io_b: int | None) -> int:
        """policyc_vmx_apply or _swap of pages whose virtual addresses are the physical ones."""
        ports = VmxPorts(
            VMREAD(self.read),
            VMWRITE(self.write),
            RDMSR(lambda _, index: self.msrs[index]),
            PHYSICAL(lambda _, page: page or 0),
            self.bits,
        )
        images = VmxImages(msr, io_a, io_b)
        return int(getattr(library(), f"policyc_vmx_{name}")(c.byref(ports), None, c.byref(images)))

    def apply(self, msr: int | None = 0x5000, io_a: int | None = 0x6000, io_b: int | None = 0x7000) -> int:
        return self.call("apply", msr, io_a, io_b)

    def swap(self, msr: int, io_a: int, io_b: int) -> int:
        return self.call("swap", msr, io_a, io_b)


def apply_svm(
    vmcb: bytearray,
    iopm: bytes,
    physical: Callable[[int], int] = lambda offset: 0x40000 + offset,
    bits: int = 48,
    missing: bool = False,
) -> int:
    """policyc_svm_apply. physical: from an offset in five pages, MSRPM first, to the physical address."""
    memory = (c.c_uint8 * (5 * 4096))()
    base = c.addressof(memory)
    c.memmove(base + 8192, iopm, 12288)
    ports = SvmPorts(PHYSICAL(lambda _, page: physical((page or 0) - base)), bits)
    images = SvmImages(None if missing else base, base + 8192)
    control = (c.c_uint8 * len(vmcb)).from_buffer(vmcb)
    return int(library().policyc_svm_apply(c.byref(ports), None, control, c.byref(images)))
