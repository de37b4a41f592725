"""Takes a port access back that KVM has told of, so that an exception can stand in its place.

KVM tells of IN and INS before anything has moved. Of OUT too, where the processor did the decoding; where KVM's
emulator did, RIP has moved already, and so have the registers of OUTS. With REP they have, but RIP has not, not even at
the last element (emulator_pio_out and em_out in the kernel's arch/x86/kvm). Which of them it is shows once the access
is finished, and in the guest's code.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, Protocol

REGISTERS = (
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
    "rip", "rflags",
)  # fmt: skip
"""struct kvm_regs, in its order."""
SEGMENT = struct.Struct("<QIH8BBB")
"""struct kvm_segment: base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable, padding."""
CS, ES, SS, SEGMENTS = 0, 2, 5, 6
"""Where they stand in struct kvm_sregs, 24 bytes each."""

_RAX, _RCX, _RDX, _RSI, _RDI = (REGISTERS.index(each) for each in ("rax", "rcx", "rdx", "rsi", "rdi"))
_RIP, _RFLAGS = REGISTERS.index("rip"), REGISTERS.index("rflags")
_DF = 1 << 10
_PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF2, 0xF3))
_REPEATS, _OTHER_SIZE, _OTHER_ADDRESS = (0xF2, 0xF3), 0x66, 0x67
_LONGEST = 15
"""Bytes of an instruction (SDM vol. 2, 2.3.11)."""


class Told(NamedTuple):
    """out: OUT or OUTS. size: bytes of an element. data: of all elements, as KVM exchanges them. done: elements before
    the one that faults, which has this value."""

    out: bool
    size: int
    port: int
    data: memoryview
    done: int
    value: int


class Vcpu(Protocol):
    """A vCPU whose KVM_RUN has told of a port access."""

    def regs(self) -> tuple[int, ...]:
        """As REGISTERS."""
        ...

    def set_regs(self, values: list[int]) -> None: ...

    def sregs(self) -> bytearray: ...

    def finish(self) -> None:
        """Complete what KVM_RUN has begun, and do not go on."""
        ...

    def read(self, linear: int, size: int) -> bytes:
        """Memory of the guest; shorter where none is."""
        ...


class _Code(NamedTuple):
    """An I/O instruction as it lies in memory."""

    length: int
    string: bool
    repeats: bool
    other_address: bool


def take_back(vcpu: Vcpu, told: Told) -> None:
    """Registers and memory are as before the element that faults, RIP is at its instruction."""
    stand = _Stand(vcpu, told)
    if told.out:
        vcpu.finish()
        if vcpu.regs()[_RIP] == stand.regs[_RIP]:
            stand.back()
    else:
        stand.finish_in()
    vcpu.set_regs(stand.regs)


class _Stand:
    """What the vCPU's registers hold, and are to hold."""

    def __init__(self, vcpu: Vcpu, told: Told) -> None:
        self.vcpu, self.told = vcpu, told
        self.regs = list(vcpu.regs())
        sregs = vcpu.sregs()
        code = SEGMENT.unpack_from(sregs, SEGMENT.size * CS)
        self._cs, self._wide, self._long = code[0], bool(code[6]), bool(code[8])
        self._es = SEGMENT.unpack_from(sregs, SEGMENT.size * ES)[0]

    def finish_in(self) -> None:
        """Nothing has moved. Elements from the one that faults on write what memory holds already, and no other
        elements follow them."""
        code = self._string_at()
        if code is not None:
            self._keep_memory(code)
            regs = list(self.regs)
            regs[_RCX] = len(self.told.data) // self.told.size
            self.vcpu.set_regs(regs)
            self._step(code, self.told.done)
        self.vcpu.finish()

    def back(self) -> None:
        """RIP, and what else KVM's emulator has moved, to where they were."""
        behind, here = self._behind(), self._string_at()
        if behind is not None and behind.repeats:
            behind = None
        if here is not None and here.repeats and (behind is None or (not behind.string and self._not_accumulator())):
            self._step(here, -1)
        elif behind is not None:
            self.regs[_RIP] -= behind.length
            if behind.string:
                self._step(behind, -1)

    def _not_accumulator(self) -> bool:
        """Both instructions fit seldom; what AL, AX or EAX does not hold was no OUT's."""
        return bool((self.regs[_RAX] ^ self.told.value) & (1 << 8 * self.told.size) - 1)

    # code

    def _moves(self, opcode: int) -> bool:
        """Whether an opcode does what was told: 6c..6f, e4..e7, ec..ef; even ones move a byte."""
        return (
            (opcode & 0xFC == 0x6C or opcode & 0xF4 == 0xE4)
            and bool(opcode & 2) == self.told.out
            and (opcode & 1 == 0) == (self.told.size == 1)
        )

    def _by_dx(self) -> bool:
        return self.regs[_RDX] & 0xFFFF == self.told.port

    def _string_at(self) -> _Code | None:
        """The string instruction at RIP, if that is what lies there."""
        code = self.vcpu.read(self._cs + self.regs[_RIP], _LONGEST)
        at = 0
        while at < len(code) and code[at] in _PREFIXES:
            at += 1
        prefixes = code[:at]
        if self._long and at < len(code) and code[at] & 0xF0 == 0x40:  # REX
            at += 1
        if at < len(code) and code[at] & 0xFC == 0x6C and self._moves(code[at]) and self._by_dx():
            return _coded(prefixes, at + 1)
        return None

    def _behind(self) -> _Code | None:
        """The OUT or OUTS that ends before RIP, if one does."""
        end = self._cs + self.regs[_RIP]
        code = b"".join(self.vcpu.read(end - at, 1) for at in range(min(_LONGEST, end), 0, -1))
        if len(code) >= 2 and code[-2] & 0xFC == 0xE4 and self._moves(code[-2]) and code[-1] == self.told.port:
            length = 2
        elif code and code[-1] & 0xFC != 0xE4 and self._moves(code[-1]) and self._by_dx():
            length = 1
        else:
            return None
        before = code[:-length]
        if code[-length] & 0xFC != 0x6C:
            # Prefixes of an OUT look like the end of the instruction before; only the one it needs is taken as its own.
            needed = self.told.size == (2 if self._wide or self._long else 4)
            return _Code(length + (needed and before[-1:] == bytes((_OTHER_SIZE,))), False, False, False)
        count = 0
        while count < len(before) and before[-1 - count] in _PREFIXES:
            count += 1
        return _coded(before[len(before) - count :], length + count)

    # registers and memory

    def _mask(self, code: _Code) -> int:
        """Of the address size."""
        if self._long:
            return (1 << (32 if code.other_address else 64)) - 1
        return (1 << (32 if self._wide != code.other_address else 16)) - 1

    def _step(self, code: _Code, elements: int) -> None:
        """Registers of a string as so many elements later."""
        by = elements * self.told.size
        self._move(_RSI if self.told.out else _RDI, code, -by if self.regs[_RFLAGS] & _DF else by)
        if code.repeats:
            self._move(_RCX, code, -elements)

    def _move(self, register: int, code: _Code, by: int) -> None:
        mask, value = self._mask(code), self.regs[register]
        self.regs[register] = value & ~mask | value + by & mask

    def _keep_memory(self, code: _Code) -> None:
        size = self.told.size
        by = -size if self.regs[_RFLAGS] & _DF else size
        for number in range(self.told.done, len(self.told.data) // size):
            held = self.vcpu.read(self._es + (self.regs[_RDI] + number * by & self._mask(code)), size)
            self.told.data[number * size : number * size + len(held)] = held


def _coded(prefixes: bytes, length: int) -> _Code:
    return _Code(length, True, any(each in prefixes for each in _REPEATS), _OTHER_ADDRESS in prefixes)
