"""One vCPU in real mode on /dev/kvm, which runs RDMSR or WRMSR and tells whether the filter made it exit."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import os
import struct
from typing import Any

from tests.demand import need

CREATE_VM, CHECK_EXTENSION, VCPU_MMAP_SIZE, CREATE_VCPU, RUN = 0xAE01, 0xAE03, 0xAE04, 0xAE41, 0xAE80
SET_MEMORY, SET_REGS, GET_SREGS, SET_SREGS = 0x4020AE46, 0x4090AE82, 0x8138AE83, 0x4138AE84
ENABLE_CAP, SET_MSR_FILTER = 0x4068AEA3, 0x4188AEC6
CAP_USER_SPACE_MSR, CAP_MSR_FILTER, REASON_FILTER = 188, 189, 4
EXIT_HLT, EXIT_RDMSR, EXIT_WRMSR = 5, 29, 30
HANDLER, READ_AT, WRITE_AT, STACK = 0x600, 0x1000, 0x1010, 0x8000


def absent() -> None:
    """Skip (or fail, where demanded) without a /dev/kvm that can filter MSRs."""
    able = False
    with contextlib.suppress(OSError):
        kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
        able = all(fcntl.ioctl(kvm, CHECK_EXTENSION, cap) > 0 for cap in (CAP_USER_SPACE_MSR, CAP_MSR_FILTER))
        os.close(kvm)
    need("kvm", able, "a /dev/kvm this user may open, on Linux 5.10 or newer")


class Machine:
    def __enter__(self) -> Machine:
        self.kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
        self.vm = fcntl.ioctl(self.kvm, CREATE_VM, 0)
        self.memory = mmap.mmap(-1, 0x10000)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        fcntl.ioctl(self.vm, SET_MEMORY, struct.pack("<IIQQQ", 0, 0, 0, 0x10000, address))
        for vector in range(32):
            self.memory[4 * vector : 4 * vector + 4] = struct.pack("<HH", HANDLER, 0)
        self.memory[HANDLER] = 0xF4
        self.memory[READ_AT : READ_AT + 3] = b"\x0f\x32\xf4"
        self.memory[WRITE_AT : WRITE_AT + 3] = b"\x0f\x30\xf4"
        self.vcpu = fcntl.ioctl(self.vm, CREATE_VCPU, 0)
        self.run = mmap.mmap(self.vcpu, fcntl.ioctl(self.kvm, VCPU_MMAP_SIZE, 0))
        sregs = bytearray(312)
        fcntl.ioctl(self.vcpu, GET_SREGS, sregs)
        struct.pack_into("<QIH", sregs, 0, 0, 0xFFFF, 0)  # CS at 0
        fcntl.ioctl(self.vcpu, SET_SREGS, bytes(sregs))
        return self

    def __exit__(self, *_: object) -> None:
        self.run.close()
        for each in (self.vcpu, self.vm, self.kvm):
            os.close(each)

    def install(self, filter_: dict[str, Any]) -> None:
        """The cap first, then the filter, as api.rst asks."""
        fcntl.ioctl(self.vm, ENABLE_CAP, struct.pack("<II4Q64x", CAP_USER_SPACE_MSR, 0, REASON_FILTER, 0, 0, 0))
        keep = []
        data = struct.pack("<II", filter_["flags"], 0)
        for each in filter_["ranges"]:
            bits = bytes.fromhex(each["bitmap"])
            keep.append(ctypes.create_string_buffer(bits, len(bits)))
            data += struct.pack("<IIIIQ", each["flags"], each["nmsrs"], each["base"], 0, ctypes.addressof(keep[-1]))
        fcntl.ioctl(self.vm, SET_MSR_FILTER, data.ljust(392, b"\0"))

    def exits(self, msr: int, write: bool) -> bool:
        """Run one access; value 0 for a write. Whether it came back as an exit of reason FILTER."""
        regs = [0] * 18
        regs[2], regs[6], regs[16], regs[17] = msr, STACK, WRITE_AT if write else READ_AT, 2
        fcntl.ioctl(self.vcpu, SET_REGS, struct.pack("<18Q", *regs))
        fcntl.ioctl(self.vcpu, RUN, 0)
        reason = struct.unpack_from("<I", self.run, 8)[0]
        if reason == EXIT_HLT:
            return False
        assert reason == (EXIT_WRMSR if write else EXIT_RDMSR), reason
        why, index = struct.unpack_from("<II", self.run, 40)
        assert (why, index) == (REASON_FILTER, msr)
        self.run[1] = 1  # immediate_exit: finish the instruction, run no other.
        with contextlib.suppress(InterruptedError):
            fcntl.ioctl(self.vcpu, RUN, 0)
        self.run[1] = 0
        return True
