"""The real backend: one vCPU on /dev/kvm, by fcntl, mmap and ctypes alone.

Documentation/virt/kvm/api.rst. After an IN, RDMSR or WRMSR exit the instruction is finished only by the next KVM_RUN;
one with ``immediate_exit`` set finishes it and runs no other.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import os
import signal
import struct
import threading
from collections.abc import Iterator, Mapping
from typing import NoReturn

from policyc.architecture import kvm as api
from policyc.runtime.acting import GENERAL_PROTECTION, Fault
from policyc.runtime.backend import EVERY_PORT, Exits, Ports, Unavailable
from policyc.runtime.endings import CRASHED, HALTED, Ending, Stop
from policyc.runtime.filter import IMAGE, Filter, read_filter
from policyc.runtime.guest import CODE, DATA, GDT_LIMIT, Start
from policyc.runtime.kvm_fault import CS, REGISTERS, SEGMENT, SEGMENTS, SS, Told, take_back
from policyc.vocabulary.diagnostic import UnreadableError
from policyc.vocabulary.intervals import Intervals

_REGS = struct.Struct("<18Q")
_TRANSLATION = struct.Struct("<QQB7x")  # struct kvm_translation: linear and physical address, whether it is mapped
_LONG = (1 << 64) - 1
_SREGS_BYTES = 312
_GDT_AT, _IDT_AT, _CONTROL_AT, _EFER_AT = 192, 208, 224, 264
_PROTECTED, _PAGING, _PAE, _LONG_MODE = 1 << 0, 1 << 31, 1 << 5, 0x500
_TSS = 0x7FFB_D000
"""Three pages that real mode on older Intel processors needs: above all memory of a guest, and an int of C."""
_EFER, _LME = 0xC000_0080, 1 << 8
_MOST_CPUID = 256
SIGNAL = signal.SIGURG
"""Sent to the vCPU's thread to bring it out of KVM_RUN; ignored by programs that do not know it."""


class Kvm:
    """device: the file to open. irqchip: let the kernel emulate the interrupt controllers and the timer."""

    name = "kvm"
    simulated = False
    targets: tuple[str, ...] = ("kvm",)
    always_exits: Intervals = EVERY_PORT

    def __init__(self, device: str = "/dev/kvm", irqchip: bool = False) -> None:
        self._irqchip = irqchip
        self._stack = contextlib.ExitStack()
        self._thread: int | None = None
        try:
            self._open(device)
        except OSError as reason:
            self._stack.close()
            raise Unavailable(f"{device}: {reason.strerror}") from None
        except Unavailable:
            self._stack.close()
            raise

    def _open(self, device: str) -> None:
        self._kvm = self._held(os.open(device, os.O_RDWR | os.O_CLOEXEC))
        try:
            version = fcntl.ioctl(self._kvm, api.KVM_GET_API_VERSION, 0)
        except OSError:
            version = -1
        if version != api.KVM_API_VERSION:
            raise Unavailable(f"{device} is no KVM of API version {api.KVM_API_VERSION}")
        for capability in (api.KVM_CAP_X86_USER_SPACE_MSR, api.KVM_CAP_X86_MSR_FILTER):
            if fcntl.ioctl(self._kvm, api.KVM_CHECK_EXTENSION, capability) <= 0:
                raise Unavailable(f"{device}: this kernel cannot filter MSRs; Linux 5.10 and newer can")
        self._vm = self._held(fcntl.ioctl(self._kvm, api.KVM_CREATE_VM, 0))

    def _held(self, handle: int) -> int:
        self._stack.callback(os.close, handle)
        return handle

    def close(self) -> None:
        self._stack.close()

    # The guest.

    def start(self, start: Start) -> None:
        with contextlib.suppress(OSError):  # Only Intel asks for it, and only where real mode is not native.
            fcntl.ioctl(self._vm, api.KVM_SET_TSS_ADDR, _TSS)
        if self._irqchip:
            fcntl.ioctl(self._vm, api.KVM_CREATE_IRQCHIP, 0)
            fcntl.ioctl(self._vm, api.KVM_CREATE_PIT2, bytes(64))
        self._start = start
        self._ram = mmap.mmap(-1, start.memory)
        self._stack.callback(self._ram.close)
        for address, data in start.pieces:
            self._ram[address : address + len(data)] = data
        held = ctypes.c_char.from_buffer(self._ram)
        region = struct.pack("<IIQQQ", 0, 0, 0, start.memory, ctypes.addressof(held))
        fcntl.ioctl(self._vm, api.KVM_SET_USER_MEMORY_REGION, region)
        del held
        self._vcpu = self._held(fcntl.ioctl(self._vm, api.KVM_CREATE_VCPU, 0))
        size = fcntl.ioctl(self._kvm, api.KVM_GET_VCPU_MMAP_SIZE, 0)
        self._run = mmap.mmap(self._vcpu, size)
        self._stack.callback(self._run.close)
        whole = self._stack.enter_context(memoryview(self._run))
        self._words = self._stack.enter_context(whole.cast("I"))
        self._longs = self._stack.enter_context(whole.cast("Q"))
        self._set_cpuid()
        self._set_registers(start)
        # The capability comes before the filter: else a denied access is #GP in the guest, and nobody hears of it.
        reasons = struct.pack("<II4Q64x", api.KVM_CAP_X86_USER_SPACE_MSR, 0, api.KVM_MSR_EXIT_REASON_FILTER, 0, 0, 0)
        fcntl.ioctl(self._vm, api.KVM_ENABLE_CAP, reasons)

    def _set_cpuid(self) -> None:
        """All that KVM supports; without it the guest would have no long mode and no MSR of its own."""
        table = bytearray(8 + 40 * _MOST_CPUID)
        struct.pack_into("<I", table, 0, _MOST_CPUID)
        fcntl.ioctl(self._kvm, api.KVM_GET_SUPPORTED_CPUID, table)
        fcntl.ioctl(self._vcpu, api.KVM_SET_CPUID2, table)

    def _set_registers(self, start: Start) -> None:
        sregs = self.sregs()
        if start.bits == 16:
            for number in range(SEGMENTS):
                rest = SEGMENT.unpack_from(sregs, SEGMENT.size * number)[3:]
                SEGMENT.pack_into(sregs, SEGMENT.size * number, 0, 0xFFFF, 0, *rest)
        else:
            wide = start.bits == 64
            for number in range(SEGMENTS):
                code = number == CS
                fields = (0xB, 1, 0, not wide, 1, wide, 1, 0, 0, 0) if code else (3, 1, 0, 1, 1, 0, 1, 0, 0, 0)
                SEGMENT.pack_into(sregs, SEGMENT.size * number, 0, 0xFFFF_FFFF, CODE if code else DATA, *fields)
            struct.pack_into("<QH6x", sregs, _GDT_AT, start.gdt, GDT_LIMIT)
            struct.pack_into("<QH6x", sregs, _IDT_AT, start.idt, start.idt_limit)
            cr0, cr2, cr3, cr4 = struct.unpack_from("<4Q", sregs, _CONTROL_AT)
            cr0 |= _PROTECTED
            if wide:
                cr0, cr3, cr4 = cr0 | _PAGING, start.pml4, cr4 | _PAE
                struct.pack_into("<Q", sregs, _EFER_AT, _LONG_MODE)
            struct.pack_into("<4Q", sregs, _CONTROL_AT, cr0, cr2, cr3, cr4)
        fcntl.ioctl(self._vcpu, api.KVM_SET_SREGS, bytes(sregs))
        regs = dict.fromkeys(REGISTERS, 0) | {"rsp": start.stack, "rip": start.entry, "rflags": 2}
        fcntl.ioctl(self._vcpu, api.KVM_SET_REGS, _REGS.pack(*regs.values()))

    def install(self, target: str, images: Mapping[str, bytes]) -> None:
        filter_ = read_filter(images[IMAGE])
        data, held = _kernel_form(filter_)
        try:
            fcntl.ioctl(self._vm, api.KVM_X86_SET_MSR_FILTER, data)
        except OSError as reason:
            raise UnreadableError(f"KVM refuses {IMAGE}: {reason.strerror}") from None
        finally:
            held.clear()  # The kernel has copied the bitmaps.

    # Running.

    def run(self, exits: Exits, ports: Ports) -> NoReturn:
        with self._interruptible():
            vcpu, words = self._vcpu, self._words
            ioctl, run = fcntl.ioctl, api.KVM_RUN
            while True:
                try:
                    ioctl(vcpu, run, 0)
                except InterruptedError:
                    self._run[1] = 0
                    exits.poll()
                    continue
                reason = words[2]
                if reason == api.KVM_EXIT_IO:
                    self._io(exits)
                elif reason in (api.KVM_EXIT_X86_RDMSR, api.KVM_EXIT_X86_WRMSR):
                    self._msr(exits, reason == api.KVM_EXIT_X86_WRMSR)
                else:
                    self._other(exits, reason)

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """While it lasts, SIGNAL ends KVM_RUN. Signals' handlers belong to the main thread, so the guest does too."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("a guest runs on the main thread: nothing else can be interrupted by a signal")
        before = signal.signal(SIGNAL, lambda *_: None)
        self._thread = threading.get_ident()
        try:
            yield
        finally:
            self._thread = None
            signal.signal(SIGNAL, before if before is not None else signal.SIG_DFL)

    def interrupt(self) -> None:
        # immediate_exit first: a signal that arrives just before KVM_RUN is then not lost.
        self._run[1] = 1
        if self._thread is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pthread_kill(self._thread, SIGNAL)

    def _io(self, exits: Exits) -> None:
        info, count, at = self._words[8], self._words[9], self._longs[5]
        size, port, run = info >> 8 & 0xFF, info >> 16, self._run
        out, value = bool(info & 0xFF), 0
        place = at
        try:
            for place in range(at, at + count * size, size):
                if out:
                    value = int.from_bytes(run[place : place + size], "little")
                    exits.port(port, size, True, value)
                else:
                    run[place : place + size] = exits.port(port, size, False, 0).to_bytes(size, "little")
        except Fault as fault:
            with memoryview(run) as whole, whole[at : at + count * size] as data:
                take_back(self, Told(out, size, port, data, (place - at) // size, value))
            self._queue(fault)
            exits.poll()

    def _msr(self, exits: Exits, write: bool) -> None:
        try:
            value = exits.msr(self._words[11], write, self._longs[6] if write else 0)
            if not write:
                self._longs[6] = value
        except Fault as fault:
            if fault.vector == GENERAL_PROTECTION:
                self._run[32] = 1  # KVM raises it.
                return
            before = list(self.regs())
            self.finish()
            self.set_regs(before)
            self._queue(fault)
            exits.poll()

    def _other(self, exits: Exits, reason: int) -> None:
        if reason == api.KVM_EXIT_MMIO:
            if not self._run[52]:  # is_write; nothing is there, so a read gives all ones.
                self._run[40:48] = b"\xff" * 8
            exits.other("mmio")
            return
        raise Stop(self._ending(reason))

    def _ending(self, reason: int) -> Ending:
        regs = self.registers()
        at = f"at rip {regs['rip']:#x}"
        if reason == api.KVM_EXIT_HLT:
            base = SEGMENT.unpack_from(self.sregs(), SEGMENT.size * CS)[0]
            vector = base + regs["rip"] - 1 - self._start.stubs
            if 0 <= vector < 256:
                return Ending(CRASHED, f"the guest took exception or interrupt {vector} and has no handler for it")
            return Ending(HALTED, f"the guest halted {at}")
        if reason in (api.KVM_EXIT_SHUTDOWN, api.KVM_EXIT_SYSTEM_EVENT):
            return Ending(CRASHED, f"triple fault {at}")
        if reason == api.KVM_EXIT_INTERNAL_ERROR:
            return Ending(CRASHED, f"KVM cannot go on {at} (internal error {self._words[8]})")
        if reason == api.KVM_EXIT_FAIL_ENTRY:
            return Ending(CRASHED, f"the processor refuses the guest's state {at} (reason {self._longs[4]:#x})")
        return Ending(CRASHED, f"KVM ended the guest {at} (exit reason {reason})")

    # Exceptions.

    def _queue(self, fault: Fault) -> None:
        """The guest goes on with the exception."""
        events = bytearray(64)
        fcntl.ioctl(self._vcpu, api.KVM_GET_VCPU_EVENTS, events)
        protected = struct.unpack_from("<Q", self.sregs(), _CONTROL_AT)[0] & _PROTECTED
        struct.pack_into("<BBBBI", events, 0, 1, fault.vector, fault.has_error_code and protected != 0, 0, 0)
        fcntl.ioctl(self._vcpu, api.KVM_SET_VCPU_EVENTS, bytes(events))

    def finish(self) -> None:
        """Complete what KVM_RUN has begun, and do not go on."""
        self._run[1] = 1
        with contextlib.suppress(InterruptedError):
            fcntl.ioctl(self._vcpu, api.KVM_RUN, 0)
        self._run[1] = 0

    # State.

    def regs(self) -> tuple[int, ...]:
        """As REGISTERS."""
        data = bytearray(_REGS.size)
        fcntl.ioctl(self._vcpu, api.KVM_GET_REGS, data)
        return _REGS.unpack(data)

    def set_regs(self, values: list[int]) -> None:
        fcntl.ioctl(self._vcpu, api.KVM_SET_REGS, _REGS.pack(*values))

    def sregs(self) -> bytearray:
        """struct kvm_sregs."""
        data = bytearray(_SREGS_BYTES)
        fcntl.ioctl(self._vcpu, api.KVM_GET_SREGS, data)
        return data

    def registers(self) -> dict[str, int]:
        return dict(zip(REGISTERS, self.regs(), strict=True))

    def read(self, linear: int, size: int) -> bytes:
        """Memory by linear address, as the guest's tables have it now; shorter where they or the memory end."""
        out = bytearray()
        for at in range(linear, linear + size):
            translation = bytearray(_TRANSLATION.pack(at & _LONG, 0, 0))
            fcntl.ioctl(self._vcpu, api.KVM_TRANSLATE, translation)
            _, physical, valid = _TRANSLATION.unpack(translation)
            if not valid or physical >= self._start.memory:
                break
            out.append(self._ram[physical])
        return bytes(out)

    def memory(self) -> memoryview:
        return memoryview(self._ram)

    def cpl(self) -> int:
        """The privilege level is the DPL of SS (SDM vol. 3A, 5.5)."""
        return int(SEGMENT.unpack_from(self.sregs(), SEGMENT.size * SS)[5])

    def read_msr(self, index: int) -> int:
        data = bytearray(struct.pack("<IIIIQ", 1, 0, index, 0, 0))
        if fcntl.ioctl(self._vcpu, api.KVM_GET_MSRS, data) != 1:
            raise Fault
        return int(struct.unpack_from("<Q", data, 16)[0])

    def write_msr(self, index: int, value: int) -> None:
        # The host may change what a guest may not: long mode under its feet.
        if index == _EFER and (value ^ self.read_msr(_EFER)) & _LME and self._paging():
            raise Fault
        data = bytearray(struct.pack("<IIIIQ", 1, 0, index, 0, value))
        if fcntl.ioctl(self._vcpu, api.KVM_SET_MSRS, data) != 1:
            raise Fault

    def _paging(self) -> bool:
        return bool(struct.unpack_from("<Q", self.sregs(), _CONTROL_AT)[0] & _PAGING)

    def notes(self) -> tuple[str, ...]:
        first, last = api.X2APIC_FIRST, api.X2APIC_LAST
        notes = [f"MSRs {first:#x}..{last:#x} (x2APIC): KVM never filters them, so no access to them is seen"]
        if self._irqchip:
            claimed = ", ".join(f"{lo:#x}..{hi:#x}" for lo, hi in (*api.IRQCHIP_PORTS, *api.PIT_PORTS))
            notes.append(f"ports {claimed}: the kernel's interrupt controllers and timer answer them unseen")
        return tuple(notes)


def _kernel_form(filter_: Filter) -> tuple[bytes, list[object]]:
    """struct kvm_msr_filter, and the buffers that it points to."""
    held: list[object] = []
    data = struct.pack("<II", int(filter_.denies), 0)
    for each in filter_.ranges:
        buffer = ctypes.create_string_buffer(each.bitmap, len(each.bitmap))
        held.append(buffer)
        data += struct.pack("<IIIIQ", each.flags, each.nmsrs, each.base, 0, ctypes.addressof(buffer))
    return data.ljust(8 + 24 * api.KVM_MSR_FILTER_MAX_RANGES, b"\0"), held
