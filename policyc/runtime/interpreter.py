"""A small interpreter of x86 code, for the simulation: what small guests use, in real, protected and long mode.

Supervisor mode, flat segments outside real mode, memory mapped to itself. Instructions and flags are those of the SDM
(vol. 2); tests/runtime/test_interpreter.py compares them with a real processor's. An instruction that is not known
ends the run and says so: nothing is guessed.

To add an instruction: a method, and its opcodes in ``_ONE`` or ``_TWO`` (behind 0x0f) at the end of the file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, Protocol

from policyc.runtime.acting import GENERAL_PROTECTION, Fault
from policyc.runtime.endings import CRASHED, HALTED, Ending, Stop
from policyc.runtime.guest import CODE, DATA, GDT_LIMIT, Start

CF, PF, AF, ZF, SF, TF, IF, DF, OF = 1, 4, 0x10, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800
_STATUS = CF | PF | AF | ZF | SF | OF
_FIXED = 2
"""Bit 1 of RFLAGS is always set."""
_WRITABLE = _STATUS | TF | IF | DF | 0x7000 | 0x4000 | 0x24_0000
RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI = range(8)
ES, CS, SS, DS, FS, GS = range(6)
_SEGMENT_PREFIX = {0x26: ES, 0x2E: CS, 0x36: SS, 0x3E: DS, 0x64: FS, 0x65: GS}
_MASK = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFF_FFFF, 8: 0xFFFF_FFFF_FFFF_FFFF}
_PARITY = tuple(PF * (bin(each).count("1") % 2 == 0) for each in range(256))
_UNDEFINED, _NOT_PRESENT, _DOUBLE_FAULT, _PAGE_FAULT, _DIVIDE = 6, 11, 8, 14, 0
_CONTRIBUTORY = (_DIVIDE, 10, _NOT_PRESENT, 12, GENERAL_PROTECTION)
_MAPPED = 1 << 30
"""Bytes that page tables of policyc.runtime.guest map in long mode."""
_WITH_ERROR_CODE = frozenset((8, 10, 11, 12, 13, 14, 17, 21))


class Bus(Protocol):
    """What lies outside the processor. Faults are raised."""

    def port(self, port: int, width: int, write: bool, value: int) -> int: ...

    def msr(self, index: int, write: bool, value: int) -> int: ...

    def mmio(self) -> None:
        """Memory was touched where there is none: reads give ones, writes go nowhere."""
        ...

    def pause(self) -> None:
        """Called between elements of a string instruction; may raise Stop."""
        ...


Operand = tuple[bool, int]
"""(in memory, linear address) or (False, number of the register)."""


class Processor:
    """regs: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8..r15. bases: of es, cs, ss, ds, fs, gs."""

    def __init__(self, start: Start, ram: bytearray, bus: Bus) -> None:
        self.bits = start.bits
        self.ram = ram
        self.bus = bus
        self.stubs = start.stubs
        self.regs = [0] * 16
        self.regs[RSP] = start.stack
        self.rip = start.entry
        self.flags = _FIXED
        real = start.bits == 16
        self.selectors = [0] * 6 if real else [DATA, CODE, DATA, DATA, DATA, DATA]
        self.bases = [0] * 6
        self.gdt, self.idt = (start.gdt, GDT_LIMIT), (start.idt, start.idt_limit)
        self.control = {0: 0x10 if real else 0x11, 2: 0, 3: 0, 4: 0}
        if start.bits == 64:
            self.control |= {0: 0x8000_0011, 3: start.pml4, 4: 0x20}
        self._wide = 0xFFFF if real else _MASK[start.bits // 8]
        self._begin = self.rip

    # One instruction.

    def step(self) -> None:
        """Run one instruction, or take the exception that it ends in."""
        self._begin = self.rip
        try:
            self._decode()
        except Fault as fault:
            self.rip = self._begin
            self._deliver(fault.vector, 0 if fault.vector in _WITH_ERROR_CODE else None)

    def _decode(self) -> None:
        self.override: int | None = None
        self.repeat = 0
        self.rex = 0
        size, address, bits = (2 if self.bits == 16 else 4), self.bits // 8, self.bits
        while True:
            opcode = self._fetch(1)
            if opcode == 0x66:
                size = 4 if bits == 16 else 2
            elif opcode == 0x67:
                address = {16: 4, 32: 2, 64: 4}[bits]
            elif opcode in (0xF2, 0xF3):
                self.repeat = opcode
            elif opcode in _SEGMENT_PREFIX:
                self.override = _SEGMENT_PREFIX[opcode]
            elif bits == 64 and opcode & 0xF0 == 0x40:
                self.rex = opcode
                opcode = self._fetch(1)
                break
            else:
                break
        self.size = 8 if self.rex & 8 else size
        self.address = address
        table = _ONE
        if opcode == 0x0F:
            opcode, table = self._fetch(1), _TWO
        known = table.get(opcode)
        if known is None or (bits == 64 and table is _ONE and opcode in _NOT_IN_LONG_MODE):
            self._unknown()
        known(self, opcode)

    def _unknown(self) -> NoReturn:
        at = self.bases[CS] + self._begin
        shown = self.ram[at : at + 6].hex(" ")
        text = f"the simulation does not know the instruction at rip {self._begin:#x} ({shown}); KVM would run it"
        raise Stop(Ending(CRASHED, text))

    def _fetch(self, count: int) -> int:
        at = self.bases[CS] + self.rip
        self.rip = self.rip + count & self._wide
        return self._load(at, count)

    def _signed(self, count: int) -> int:
        value = self._fetch(count)
        return value - (1 << 8 * count) if value >> (8 * count - 1) else value

    # Memory and registers.

    def _load(self, at: int, count: int) -> int:
        if at + count <= len(self.ram):
            return int.from_bytes(self.ram[at : at + count], "little")
        self._beyond(at)
        return _MASK[count]

    def _store(self, at: int, count: int, value: int) -> None:
        if at + count <= len(self.ram):
            self.ram[at : at + count] = (value & _MASK[count]).to_bytes(count, "little")
        else:
            self._beyond(at)

    def _beyond(self, at: int) -> None:
        if self.bits == 64 and at >= _MAPPED:
            self.control[2] = at
            raise Fault(_PAGE_FAULT)
        self.bus.mmio()

    def reg(self, number: int, size: int) -> int:
        if size == 1 and not self.rex and 4 <= number < 8:
            return self.regs[number - 4] >> 8 & 0xFF  # ah, ch, dh, bh
        return self.regs[number] & _MASK[size]

    def set_reg(self, number: int, size: int, value: int) -> None:
        """A dword clears what is above it; smaller ones leave it."""
        if size == 1 and not self.rex and 4 <= number < 8:
            old = self.regs[number - 4]
            self.regs[number - 4] = old & ~0xFF00 | (value & 0xFF) << 8
        elif size >= 4:
            self.regs[number] = value & _MASK[size]
        else:
            self.regs[number] = self.regs[number] & ~_MASK[size] | value & _MASK[size]

    def _get(self, operand: Operand, size: int) -> int:
        return self._load(operand[1], size) if operand[0] else self.reg(operand[1], size)

    def _put(self, operand: Operand, size: int, value: int) -> None:
        if operand[0]:
            self._store(operand[1], size, value)
        else:
            self.set_reg(operand[1], size, value)

    def _linear(self, segment: int, offset: int) -> int:
        if self.override is not None:
            segment = self.override
        if self.bits == 64:
            return offset & _MASK[self.address]
        return self.bases[segment] + (offset & _MASK[self.address]) & 0xFFFF_FFFF

    def _modrm(self) -> tuple[int, Operand]:
        """The register field, and the operand (SDM vol. 2, 2.1.5)."""
        byte = self._fetch(1)
        mode, field, low = byte >> 6, byte >> 3 & 7 | (self.rex & 4) << 1, byte & 7
        if mode == 3:
            return field, (False, low | (self.rex & 1) << 3)
        if self.address == 2:
            return field, (True, self._effective16(mode, low))
        return field, (True, self._effective32(mode, low))

    def _effective16(self, mode: int, low: int) -> int:
        pairs = ((RBX, RSI), (RBX, RDI), (RBP, RSI), (RBP, RDI), (RSI,), (RDI,), (RBP,), (RBX,))
        segment = SS if low in (2, 3, 6) else DS
        if mode == 0 and low == 6:
            return self._linear(DS, self._fetch(2))
        offset = sum(self.regs[each] for each in pairs[low])
        if mode:
            offset += self._signed(mode)
        return self._linear(segment, offset)

    def _effective32(self, mode: int, low: int) -> int:
        offset, segment = 0, DS
        base: int | None = low | (self.rex & 1) << 3
        if low == 4:
            sib = self._fetch(1)
            index = sib >> 3 & 7 | (self.rex & 2) << 2
            base = sib & 7 | (self.rex & 1) << 3
            if index != 4:
                offset = (self.regs[index] & _MASK[self.address]) << (sib >> 6)
            if mode == 0 and sib & 7 == 5:
                base = None
                offset += self._signed(4)
        elif mode == 0 and low == 5:
            base = None
            relative = self._signed(4)
            # RIP-relative: from the next instruction, whose immediate may still follow; nothing here has one.
            offset = relative + (self.rip if self.bits == 64 else 0)
        if base is not None:
            offset += self.regs[base]
            segment = SS if base in (RSP, RBP) else DS
        if mode:
            offset += self._signed(1 if mode == 1 else 4)
        return self._linear(segment, offset)

    # Stack.

    def _stack_size(self) -> int:
        return 8 if self.bits == 64 else self.size

    def _push(self, value: int, size: int) -> None:
        width = {16: 2, 32: 4, 64: 8}[self.bits]
        top = self.regs[RSP] - size & _MASK[width]
        self._store(top if self.bits == 64 else self.bases[SS] + top, size, value)
        self.set_reg(RSP, width, top)

    def _pop(self, size: int) -> int:
        width = {16: 2, 32: 4, 64: 8}[self.bits]
        top = self.regs[RSP] & _MASK[width]
        value = self._load(top if self.bits == 64 else self.bases[SS] + top, size)
        self.set_reg(RSP, width, top + size)
        return value

    # Exceptions and interrupts (SDM vol. 3A, chapter 6).

    def _deliver(self, vector: int, error: int | None) -> None:
        """Enter the handler of a vector; where there is none, that of #GP, of #DF, and then the machine shuts down."""
        tried = vector
        while not self._enter(tried, error):
            if tried == _DOUBLE_FAULT:
                raise Stop(Ending(CRASHED, f"triple fault at rip {self._begin:#x}"))
            error = tried * 8 + 2
            tried = _DOUBLE_FAULT if tried in _CONTRIBUTORY else GENERAL_PROTECTION
            error = 0 if tried == _DOUBLE_FAULT else error

    def _enter(self, vector: int, error: int | None) -> bool:
        base, limit = self.idt
        if self.bits == 16:
            if vector * 4 + 3 > limit:
                return False
            for each in (self.flags, self.selectors[CS], self.rip):
                self._push(each, 2)
            entry = self._load(base + 4 * vector, 4)
            self._set_segment(CS, entry >> 16)
            self.rip = entry & 0xFFFF
        else:
            size = 16 if self.bits == 64 else 8
            if size * vector + size - 1 > limit:
                return False
            gate = self._load(base + size * vector, 8)
            if gate >> 40 & 0x9F not in (0x8E, 0x8F):
                return False
            self._push_frame(error)
            self.rip = gate & 0xFFFF | gate >> 32 & 0xFFFF_0000
            if self.bits == 64:
                self.rip |= self._load(base + size * vector + 8, 4) << 32
            if gate >> 40 & 1:
                self.flags &= ~TF
                return True
        self.flags &= ~(TF | IF)
        return True

    def _push_frame(self, error: int | None) -> None:
        frame = [self.flags, self.selectors[CS], self.rip]
        if self.bits == 64:
            frame = [self.selectors[SS], self.regs[RSP], *frame]
            self.regs[RSP] &= ~15
        for each in (*frame, *(() if error is None else (error,))):
            self._push(each, self.bits // 8)

    def _set_segment(self, number: int, selector: int) -> None:
        """Outside real mode every segment is flat."""
        self.selectors[number] = selector & 0xFFFF
        if self.bits == 16:
            self.bases[number] = (selector & 0xFFFF) << 4

    # Flags.

    def _result(self, value: int, size: int) -> int:
        """SF, ZF and PF of a result."""
        value &= _MASK[size]
        sign = SF if value >> (8 * size - 1) else 0
        return sign | (0 if value else ZF) | _PARITY[value & 0xFF]

    def _set_status(self, flags: int, kept: int = 0) -> None:
        self.flags = self.flags & ~(_STATUS & ~kept) | flags & ~kept

    def _add(self, a: int, b: int, size: int, carry: int = 0, kept: int = 0) -> int:
        total = a + b + carry
        out = total & _MASK[size]
        top = 8 * size - 1
        flags = self._result(out, size) | (CF if total > _MASK[size] else 0) | (a ^ b ^ out) & AF
        flags |= OF if (a ^ out) & (b ^ out) & 1 << top else 0
        self._set_status(flags, kept)
        return out

    def _sub(self, a: int, b: int, size: int, borrow: int = 0, kept: int = 0) -> int:
        out = a - b - borrow & _MASK[size]
        top = 8 * size - 1
        flags = self._result(out, size) | (CF if a < b + borrow else 0) | (a ^ b ^ out) & AF
        flags |= OF if (a ^ b) & (a ^ out) & 1 << top else 0
        self._set_status(flags, kept)
        return out

    def _logic(self, value: int, size: int) -> int:
        self._set_status(self._result(value, size))
        return value & _MASK[size]

    def _alu(self, operation: int, a: int, b: int, size: int) -> int:
        """ADD, OR, ADC, SBB, AND, SUB, XOR, CMP by number; the answer of CMP is its first operand."""
        carry = self.flags & CF
        match operation:
            case 0:
                return self._add(a, b, size)
            case 1:
                return self._logic(a | b, size)
            case 2:
                return self._add(a, b, size, carry)
            case 3:
                return self._sub(a, b, size, carry)
            case 4:
                return self._logic(a & b, size)
            case 5:
                return self._sub(a, b, size)
            case 6:
                return self._logic(a ^ b, size)
            case _:
                self._sub(a, b, size)
                return a

    def _condition(self, number: int) -> bool:
        flags = self.flags
        match number >> 1:
            case 0:
                holds = flags & OF
            case 1:
                holds = flags & CF
            case 2:
                holds = flags & ZF
            case 3:
                holds = flags & (CF | ZF)
            case 4:
                holds = flags & SF
            case 5:
                holds = flags & PF
            case 6:
                holds = bool(flags & SF) != bool(flags & OF)
            case _:
                holds = flags & ZF or bool(flags & SF) != bool(flags & OF)
        return bool(holds) != bool(number & 1)

    # Instructions: arithmetic and moves.

    def _width(self, opcode: int) -> int:
        return self.size if opcode & 1 else 1

    def _immediate(self, size: int) -> int:
        """64-bit operands have 32-bit immediates, sign-extended."""
        return self._signed(min(size, 4)) & _MASK[size]

    def alu(self, opcode: int) -> None:
        size, operation, form = self._width(opcode), opcode >> 3, opcode & 7
        if form >= 4:
            self.set_reg(RAX, size, self._alu(operation, self.reg(RAX, size), self._immediate(size), size))
            return
        field, operand = self._modrm()
        a, b = self._get(operand, size), self.reg(field, size)
        if form >= 2:
            self.set_reg(field, size, self._alu(operation, b, a, size))
        elif operation == 7:
            self._alu(operation, a, b, size)
        else:
            self._put(operand, size, self._alu(operation, a, b, size))

    def alu_immediate(self, opcode: int) -> None:
        size = self._width(opcode)
        field, operand = self._modrm()
        b = self._signed(1) & _MASK[size] if opcode == 0x83 else self._immediate(size)
        a = self._get(operand, size)
        out = self._alu(field & 7, a, b, size)
        if field & 7 != 7:
            self._put(operand, size, out)

    def test(self, opcode: int) -> None:
        size = self._width(opcode)
        if opcode >= 0xA8:
            self._logic(self.reg(RAX, size) & self._immediate(size), size)
            return
        field, operand = self._modrm()
        self._logic(self._get(operand, size) & self.reg(field, size), size)

    def inc_dec_short(self, opcode: int) -> None:
        number, change = opcode & 7, self._sub if opcode & 8 else self._add
        self.set_reg(number, self.size, change(self.reg(number, self.size), 1, self.size, 0, CF))

    def group3(self, opcode: int) -> None:
        size = self._width(opcode)
        field, operand = self._modrm()
        value = self._get(operand, size)
        match field & 7:
            case 0 | 1:
                self._logic(value & self._immediate(size), size)
            case 2:
                self._put(operand, size, ~value)
            case 3:
                self._put(operand, size, self._sub(0, value, size))
            case 4 if size > 1:
                product = self.reg(RAX, size) * value
                self.set_reg(RAX, size, product)
                self.set_reg(RDX, size, product >> 8 * size)
                over = CF | OF if product > _MASK[size] else 0
                self.flags = self.flags & ~(CF | OF) | over
            case 6 if size > 1:
                dividend = self.reg(RDX, size) << 8 * size | self.reg(RAX, size)
                if value == 0 or dividend // value > _MASK[size]:
                    raise Fault(_DIVIDE)
                self.set_reg(RAX, size, dividend // value)
                self.set_reg(RDX, size, dividend % value)
            case _:
                self._unknown()

    def group4_5(self, opcode: int) -> None:
        size = self._width(opcode)
        field, operand = self._modrm()
        match field & 7:
            case 0:
                self._put(operand, size, self._add(self._get(operand, size), 1, size, 0, CF))
            case 1:
                self._put(operand, size, self._sub(self._get(operand, size), 1, size, 0, CF))
            case 2 if opcode == 0xFF:
                target = self._get(operand, self._stack_size())
                self._push(self.rip, self._stack_size())
                self.rip = target & self._wide
            case 4 if opcode == 0xFF:
                self.rip = self._get(operand, self._stack_size()) & self._wide
            case 6 if opcode == 0xFF:
                self._push(self._get(operand, self._stack_size()), self._stack_size())
            case _:
                self._unknown()

    def shift(self, opcode: int) -> None:
        size = self._width(opcode)
        field, operand = self._modrm()
        if opcode < 0xD0:
            count = self._fetch(1)
        else:
            count = 1 if opcode < 0xD2 else self.reg(RCX, 1) & 0xFF
        count &= 0x3F if size == 8 else 0x1F
        value, width = self._get(operand, size), 8 * size
        if not count:
            self._put(operand, size, value)  # No flag changes, but a dword still clears what is above it.
            return
        match field & 7:
            case 4 | 6:
                total = value << count
                out, carry = total & _MASK[size], total >> width & 1
                over = (out >> width - 1 ^ carry) & 1
            case 5:
                out, carry, over = value >> count, value >> count - 1 & 1, value >> width - 1
            case 7:
                signed = value - (1 << width) if value >> width - 1 else value
                out, carry, over = signed >> count & _MASK[size], signed >> count - 1 & 1, 0
            case _:
                self._unknown()
        self._set_status(self._result(out, size) | (CF if carry else 0) | (OF if over else 0))
        self._put(operand, size, out)

    def mov(self, opcode: int) -> None:
        size = self._width(opcode)
        field, operand = self._modrm()
        if opcode & 2:
            self.set_reg(field, size, self._get(operand, size))
        else:
            self._put(operand, size, self.reg(field, size))

    def mov_immediate(self, opcode: int) -> None:
        size = self._width(opcode)
        _, operand = self._modrm()
        self._put(operand, size, self._immediate(size))

    def mov_short(self, opcode: int) -> None:
        size = self.size if opcode & 8 else 1
        self.set_reg(opcode & 7 | (self.rex & 1) << 3, size, self._fetch(size))

    def mov_offset(self, opcode: int) -> None:
        size, at = self._width(opcode), self._linear(DS, self._fetch(self.address))
        if opcode & 2:
            self._store(at, size, self.reg(RAX, size))
        else:
            self.set_reg(RAX, size, self._load(at, size))

    def mov_segment(self, opcode: int) -> None:
        field, operand = self._modrm()
        if field & 7 > GS or (opcode == 0x8E and field & 7 == CS):
            raise Fault(_UNDEFINED)
        if opcode == 0x8E:
            self._set_segment(field & 7, self._get(operand, 2))
        else:
            self._put(operand, 2 if operand[0] else self.size, self.selectors[field & 7])

    def lea(self, opcode: int) -> None:
        self.override = None
        bases, self.bases = self.bases, [0] * 6
        try:
            field, operand = self._modrm_at(bases)
        finally:
            self.bases = bases
        if not operand[0]:
            raise Fault(_UNDEFINED)
        self.set_reg(field, self.size, operand[1])

    def _modrm_at(self, bases: list[int]) -> tuple[int, Operand]:
        """The operand's offset without its segment; the code itself is still fetched with the base of CS."""
        self.bases[CS] = bases[CS]
        return self._modrm()

    def xchg(self, opcode: int) -> None:
        size = self._width(opcode)
        field, operand = self._modrm()
        value = self._get(operand, size)
        self._put(operand, size, self.reg(field, size))
        self.set_reg(field, size, value)

    def xchg_short(self, opcode: int) -> None:
        number = opcode & 7 | (self.rex & 1) << 3
        if number:  # 0x90 is NOP.
            value = self.reg(number, self.size)
            self.set_reg(number, self.size, self.reg(RAX, self.size))
            self.set_reg(RAX, self.size, value)

    def extend(self, opcode: int) -> None:
        """MOVZX, MOVSX."""
        size = 2 if opcode & 1 else 1
        field, operand = self._modrm()
        value = self._get(operand, size)
        if opcode & 8 and value >> (8 * size - 1):
            value -= 1 << 8 * size
        self.set_reg(field, self.size, value & _MASK[self.size])

    def set_condition(self, opcode: int) -> None:
        _, operand = self._modrm()
        self._put(operand, 1, int(self._condition(opcode & 15)))

    def move_if(self, opcode: int) -> None:
        field, operand = self._modrm()
        value = self._get(operand, self.size)
        self.set_reg(field, self.size, value if self._condition(opcode & 15) else self.reg(field, self.size))

    # Instructions: stack and jumps.

    def push_short(self, opcode: int) -> None:
        size = self._stack_size()
        self._push(self.reg(opcode & 7 | (self.rex & 1) << 3, size), size)

    def pop_short(self, opcode: int) -> None:
        size = self._stack_size()
        self.set_reg(opcode & 7 | (self.rex & 1) << 3, size, self._pop(size))

    def push_segment(self, opcode: int) -> None:
        self._push(self.selectors[opcode >> 3], self._stack_size())

    def pop_segment(self, opcode: int) -> None:
        self._set_segment(opcode >> 3, self._pop(self._stack_size()))

    def push_immediate(self, opcode: int) -> None:
        size = self._stack_size()
        value = self._signed(1) if opcode == 0x6A else self._signed(min(self.size, 4))
        self._push(value & _MASK[size], size)

    def push_flags(self, opcode: int) -> None:
        self._push(self.flags, self._stack_size())

    def pop_flags(self, opcode: int) -> None:
        size = self._stack_size()
        self._set_flags(self._pop(size), size)

    def _set_flags(self, value: int, size: int) -> None:
        writable = _WRITABLE & _MASK[min(size, 4)]
        self.flags = self.flags & ~writable | value & writable | _FIXED

    def _jump(self, distance: int) -> None:
        self.rip = self.rip + distance & (_MASK[2] if self.bits != 64 and self.size == 2 else self._wide)

    def _relative(self) -> int:
        return self._signed(2 if self.bits != 64 and self.size == 2 else 4)

    def jump_if(self, opcode: int) -> None:
        distance = self._signed(1)
        if self._condition(opcode & 15):
            self._jump(distance)

    def jump_if_near(self, opcode: int) -> None:
        distance = self._relative()
        if self._condition(opcode & 15):
            self._jump(distance)

    def jump(self, opcode: int) -> None:
        self._jump(self._signed(1) if opcode == 0xEB else self._relative())

    def call(self, opcode: int) -> None:
        distance = self._relative()
        self._push(self.rip, self._stack_size())
        self._jump(distance)

    def return_(self, opcode: int) -> None:
        extra = self._fetch(2) if opcode == 0xC2 else 0
        self.rip = self._pop(self._stack_size()) & self._wide
        self.regs[RSP] += extra

    def loop(self, opcode: int) -> None:
        distance, size = self._signed(1), self.address
        if opcode == 0xE3:
            taken = self.reg(RCX, size) == 0
        else:
            self.set_reg(RCX, size, self.reg(RCX, size) - 1)
            taken = self.reg(RCX, size) != 0
            if opcode < 0xE2:
                taken = taken and bool(self.flags & ZF) == bool(opcode & 1)
        if taken:
            self._jump(distance)

    def interrupt(self, opcode: int) -> None:
        self._deliver(3 if opcode == 0xCC else self._fetch(1), None)

    def interrupt_return(self, opcode: int) -> None:
        size = 8 if self.rex & 8 else self.size
        rip, selector, flags = self._pop(size), self._pop(size), self._pop(size)
        if self.bits != 16 and selector & 3:
            self._unknown()  # There is no user mode here.
        if self.bits == 64:
            top, stack = self._pop(size), self._pop(size)
            self.regs[RSP] = top
            self.selectors[SS] = stack & 0xFFFF
        self._set_segment(CS, selector)
        self.rip = rip & self._wide
        self._set_flags(flags, size)

    # Instructions: strings.

    def string(self, opcode: int) -> None:
        """INS, OUTS, MOVS, STOS, LODS; with REP element by element, the registers right after each."""
        size = self._width(opcode)
        if opcode & 0xFE in (0x6C, 0x6E):
            size = min(size, 4)
        element = {0x6C: self._ins, 0x6E: self._outs, 0xA4: self._movs, 0xAA: self._stos, 0xAC: self._lods}[
            opcode & 0xFE
        ]
        if not self.repeat:
            element(size)
            return
        while self.reg(RCX, self.address):
            element(size)
            self.set_reg(RCX, self.address, self.reg(RCX, self.address) - 1)
            self.bus.pause()

    def _advance(self, number: int, size: int) -> None:
        step = -size if self.flags & DF else size
        self.set_reg(number, self.address, self.reg(number, self.address) + step)

    def _source(self) -> int:
        return self._linear(DS, self.regs[RSI])

    def _target(self) -> int:
        """ES:DI, which no prefix changes."""
        override, self.override = self.override, None
        at = self._linear(ES, self.regs[RDI])
        self.override = override
        return at

    def _ins(self, size: int) -> None:
        self._store(self._target(), size, self.bus.port(self.regs[RDX] & 0xFFFF, size, False, 0))
        self._advance(RDI, size)

    def _outs(self, size: int) -> None:
        self.bus.port(self.regs[RDX] & 0xFFFF, size, True, self._load(self._source(), size))
        self._advance(RSI, size)

    def _movs(self, size: int) -> None:
        self._store(self._target(), size, self._load(self._source(), size))
        self._advance(RSI, size)
        self._advance(RDI, size)

    def _stos(self, size: int) -> None:
        self._store(self._target(), size, self.reg(RAX, size))
        self._advance(RDI, size)

    def _lods(self, size: int) -> None:
        self.set_reg(RAX, size, self._load(self._source(), size))
        self._advance(RSI, size)

    # Instructions: what a policy watches, and the system.

    def in_out(self, opcode: int) -> None:
        """0xe4..0xe7 with the port in a byte, 0xec..0xef with the port in DX; bit 1 says OUT."""
        size = min(self._width(opcode), 4)
        port = self.regs[RDX] & 0xFFFF if opcode & 8 else self._fetch(1)
        if opcode & 2:
            self.bus.port(port, size, True, self.reg(RAX, size))
        else:
            self.set_reg(RAX, size, self.bus.port(port, size, False, 0))

    def rdmsr(self, opcode: int) -> None:
        value = self.bus.msr(self.regs[RCX] & 0xFFFF_FFFF, False, 0)
        self.regs[RAX], self.regs[RDX] = value & 0xFFFF_FFFF, value >> 32

    def wrmsr(self, opcode: int) -> None:
        value = (self.regs[RDX] & 0xFFFF_FFFF) << 32 | self.regs[RAX] & 0xFFFF_FFFF
        self.bus.msr(self.regs[RCX] & 0xFFFF_FFFF, True, value)

    def cpuid(self, opcode: int) -> None:
        """Vendor "PolicycSim", and the features that the interpreter has: TSC, MSR, CMOV."""
        leaves = {0: (1, 0x696C6F50, 0x2020206D, 0x69536379), 1: (0x600, 0, 1 << 31, 1 << 4 | 1 << 5 | 1 << 15)}
        answer = leaves.get(self.regs[RAX] & 0xFFFF_FFFF, (0, 0, 0, 0))
        self.regs[RAX], self.regs[RBX], self.regs[RCX], self.regs[RDX] = answer

    def halt(self, opcode: int) -> None:
        vector = self.bases[CS] + self._begin - self.stubs
        if 0 <= vector < 256:
            raise Stop(Ending(CRASHED, f"the guest took exception or interrupt {vector} and has no handler for it"))
        raise Stop(Ending(HALTED, f"the guest halted at rip {self.rip:#x}"))

    def undefined(self, opcode: int) -> None:
        raise Fault(_UNDEFINED)

    def nothing(self, opcode: int) -> None:
        """WBINVD, CLTS and others without effect here."""

    def flag(self, opcode: int) -> None:
        if opcode == 0xF5:
            self.flags ^= CF
            return
        bit = {0xF8: CF, 0xFA: IF, 0xFC: DF}[opcode & 0xFE]
        self.flags = self.flags | bit if opcode & 1 else self.flags & ~bit

    def tables(self, opcode: int) -> None:
        """SGDT, SIDT, LGDT, LIDT."""
        field, (in_memory, at) = self._modrm()
        if not in_memory or field & 7 > 3:
            self._unknown()
        width = 8 if self.bits == 64 else 4
        if field & 2:
            base = self._load(at + 2, width) & (0xFF_FFFF if self.size == 2 and self.bits == 16 else _MASK[width])
            loaded = (base, self._load(at, 2))
            if field & 1:
                self.idt = loaded
            else:
                self.gdt = loaded
            return
        base, limit = self.idt if field & 1 else self.gdt
        self._store(at, 2, limit)
        self._store(at + 2, width, base)

    def control_register(self, opcode: int) -> None:
        """MOV from and to CR0, CR2, CR3, CR4; one that would change the mode, or the page tables, is not known."""
        field, (_, number) = self._modrm()
        if field not in self.control:
            self._unknown()
        size = 8 if self.bits == 64 else 4
        if opcode == 0x20:
            self.set_reg(number, size, self.control[field])
            return
        value = self.reg(number, size)
        if (field == 0 and (value ^ self.control[0]) & 0x8000_0001) or (field == 3 and value != self.control[3]):
            self._unknown()
        self.control[field] = value


Method = Callable[[Processor, int], None]


def _table(*rows: tuple[Method, tuple[int, ...] | range]) -> dict[int, Method]:
    return {opcode: method for method, opcodes in rows for opcode in opcodes}


_ONE = _table(
    (Processor.alu, tuple(each for each in range(0x40) if each & 7 < 6)),
    (Processor.push_segment, (0x06, 0x0E, 0x16, 0x1E)),
    (Processor.pop_segment, (0x07, 0x17, 0x1F)),
    (Processor.inc_dec_short, range(0x40, 0x50)),
    (Processor.push_short, range(0x50, 0x58)),
    (Processor.pop_short, range(0x58, 0x60)),
    (Processor.push_immediate, (0x68, 0x6A)),
    (Processor.string, (0x6C, 0x6D, 0x6E, 0x6F, 0xA4, 0xA5, 0xAA, 0xAB, 0xAC, 0xAD)),
    (Processor.jump_if, range(0x70, 0x80)),
    (Processor.alu_immediate, (0x80, 0x81, 0x83)),
    (Processor.test, (0x84, 0x85, 0xA8, 0xA9)),
    (Processor.xchg, (0x86, 0x87)),
    (Processor.mov, range(0x88, 0x8C)),
    (Processor.mov_segment, (0x8C, 0x8E)),
    (Processor.lea, (0x8D,)),
    (Processor.xchg_short, range(0x90, 0x98)),
    (Processor.push_flags, (0x9C,)),
    (Processor.pop_flags, (0x9D,)),
    (Processor.mov_offset, range(0xA0, 0xA4)),
    (Processor.mov_short, range(0xB0, 0xC0)),
    (Processor.shift, (0xC0, 0xC1, 0xD0, 0xD1, 0xD2, 0xD3)),
    (Processor.return_, (0xC2, 0xC3)),
    (Processor.mov_immediate, (0xC6, 0xC7)),
    (Processor.interrupt, (0xCC, 0xCD)),
    (Processor.interrupt_return, (0xCF,)),
    (Processor.loop, range(0xE0, 0xE4)),
    (Processor.in_out, (*range(0xE4, 0xE8), *range(0xEC, 0xF0))),
    (Processor.call, (0xE8,)),
    (Processor.jump, (0xE9, 0xEB)),
    (Processor.halt, (0xF4,)),
    (Processor.flag, (0xF5, *range(0xF8, 0xFE))),
    (Processor.group3, (0xF6, 0xF7)),
    (Processor.group4_5, (0xFE, 0xFF)),
)
_NOT_IN_LONG_MODE = frozenset((0x06, 0x07, 0x0E, 0x16, 0x17, 0x1E, 0x1F))
_TWO = _table(
    (Processor.tables, (0x01,)),
    (Processor.nothing, (0x06, 0x09, 0x0D, 0x18, 0x1F)),
    (Processor.undefined, (0x0B,)),
    (Processor.control_register, (0x20, 0x22)),
    (Processor.wrmsr, (0x30,)),
    (Processor.rdmsr, (0x32,)),
    (Processor.move_if, range(0x40, 0x50)),
    (Processor.jump_if_near, range(0x80, 0x90)),
    (Processor.set_condition, range(0x90, 0xA0)),
    (Processor.cpuid, (0xA2,)),
    (Processor.extend, (0xB6, 0xB7, 0xBE, 0xBF)),
)
