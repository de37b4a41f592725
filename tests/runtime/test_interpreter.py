"""The simulation's interpreter against a real processor: the same random programs on both, the same state after them."""

from __future__ import annotations

import random

import pytest

from tests.runtime.running import MODES, available, code, run

PLAIN = "language 1\ntarget vmx, svm, kvm\ndefault passthrough\nintercept io 0x60 len 4 in -> const(0x5a)\n"
AF = 0x10
BYTES = ("al", "cl", "dl", "bl", "ah", "ch", "dh", "bh")
WORDS = ("ax", "cx", "dx", "bx", "bp", "si", "di")
DWORDS = tuple(f"e{each}" for each in WORDS)
QWORDS = tuple(f"r{each}" for each in WORDS) + tuple(f"r{each}" for each in range(8, 16))
BINARY = ("add", "or", "adc", "sbb", "and", "sub", "xor", "cmp", "test", "mov", "xchg")
UNARY = ("inc", "dec", "not", "neg")
CONDITIONS = ("o", "no", "b", "ae", "z", "nz", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g")
SCRATCH = 0x600
"""Sixty-four bytes that programs read and write; compared in the end."""


class Writer:
    """Lines of assembly of one mode. Each leaves the flags defined, but for AF, which some leave to the processor."""

    def __init__(self, bits: int, seed: int) -> None:
        self.bits = bits
        self.chance = random.Random(f"{bits} {seed}")
        self.labels = 0

    def registers(self, size: int) -> tuple[str, ...]:
        return {1: BYTES, 2: WORDS, 4: DWORDS, 8: QWORDS}[size]

    def size(self) -> int:
        return self.chance.choice((1, 2, 4, 8) if self.bits == 64 else (1, 2, 4))

    def register(self, size: int) -> str:
        return self.chance.choice(self.registers(size))

    def memory(self, size: int) -> str:
        word = {1: "byte", 2: "word", 4: "dword", 8: "qword"}[size]
        return f"{word} [{SCRATCH + self.chance.randrange(56):#x}]"

    def immediate(self, size: int) -> str:
        bits = 8 * min(size, 4) - (size == 8)
        return hex(self.chance.choice((0, 1, 0x7F, 1 << bits - 1, (1 << bits) - 1, self.chance.getrandbits(bits))))

    def binary(self) -> list[str]:
        size, name = self.size(), self.chance.choice(BINARY)
        target = self.register(size) if self.chance.random() < 0.7 else self.memory(size)
        if name == "xchg" or self.chance.random() < 0.6:
            return [f"{name} {target}, {self.register(size)}"]
        return [f"{name} {target}, {self.immediate(size)}"]

    def loaded(self) -> list[str]:
        size = self.size()
        return [f"{self.chance.choice((*BINARY[:8], 'mov'))} {self.register(size)}, {self.memory(size)}"]

    def unary(self) -> list[str]:
        size = self.size()
        return [f"{self.chance.choice(UNARY)} {self.chance.choice((self.register(size), self.memory(size)))}"]

    def shift(self) -> list[str]:
        """Counts above one leave OF undefined, and above the width CF: a comparison afterwards settles both."""
        size = self.size()
        count = self.chance.choice(("1", "3", "cl", str(8 * size - 1)))
        shift = f"{self.chance.choice(('shl', 'shr', 'sar'))} {self.register(size)}, {count}"
        return [shift] if count == "1" else [shift, "cmp al, bl"]

    def extended(self) -> list[str]:
        size = self.chance.choice((2, 4))
        return [
            f"{self.chance.choice(('movzx', 'movsx'))} {self.register(size)}, {self.chance.choice(('bl', 'ch', 'dl'))}"
        ]

    def conditional(self) -> list[str]:
        self.labels += 1
        near = self.chance.choice(("", "near "))
        skipped = self.chance.choice((self.binary, self.unary))()
        return [f"j{self.chance.choice(CONDITIONS)} {near}.l{self.labels}", *skipped, f".l{self.labels}:"]

    def chosen(self) -> list[str]:
        which, size = self.chance.choice(CONDITIONS), self.chance.choice((2, 4))
        return [
            f"set{which} {self.chance.choice(BYTES[:4])}",
            f"cmov{which} {self.register(size)}, {self.register(size)}",
        ]

    def stacked(self) -> list[str]:
        size = 8 if self.bits == 64 else self.chance.choice((2, 4))
        return [
            f"push {self.register(size)}",
            f"push {self.immediate(1)}",
            f"pop {self.register(size)}",
            f"pop {self.register(size)}",
        ]

    def called(self) -> list[str]:
        self.labels += 1
        return [
            f"call .c{self.labels}",
            f"jmp .d{self.labels}",
            f".c{self.labels}:",
            *self.binary(),
            "ret",
            f".d{self.labels}:",
        ]

    def strings(self) -> list[str]:
        index = {16: "", 32: "e", 64: "r"}[self.bits]
        what = self.chance.choice(("rep movsb", "rep stosb", "movsd", "lodsw", "stosd", "rep movsw", "lodsb"))
        return [
            self.chance.choice(("cld", "std")),
            f"mov {index}si, {SCRATCH + 24:#x}",
            f"mov {index}di, {SCRATCH + 36:#x}",
            f"mov {index}cx, {self.chance.randrange(5)}",
            what,
            "cld",
        ]

    def addressed(self) -> list[str]:
        if self.bits == 16:
            return [
                f"mov bx, {SCRATCH:#x}",
                "mov si, 5",
                f"{self.chance.choice(('mov', 'add', 'lea'))} ax, [bx + si + 3]",
            ]
        base, wide = ("rbx", "rsi") if self.bits == 64 else ("ebx", "esi")
        scale = self.chance.choice((1, 2, 4))
        return [
            f"mov {base}, {SCRATCH:#x}",
            f"mov {wide}, 5",
            f"{self.chance.choice(('mov', 'add', 'lea'))} eax, [{base} + {wide} * {scale} + {self.chance.randrange(9)}]",
        ]

    def multiplied(self) -> list[str]:
        """MUL defines CF and OF alone, DIV no flag."""
        size = self.chance.choice((2, 4))
        register = {2: "bx", 4: "ebx"}[size]
        clear = {2: "xor dx, dx", 4: "xor edx, edx"}[size]
        return [f"or {register}, 1", f"mul {register}", clear, f"div {register}", "cmp ax, bx"]

    def looped(self) -> list[str]:
        self.labels += 1
        counter = {16: "cx", 32: "ecx", 64: "rcx"}[self.bits]
        label = f".o{self.labels}"
        return [f"mov {counter}, {self.chance.randrange(1, 4)}", f"{label}:", "inc byte [0x610]", f"loop {label}"]

    def asked(self) -> list[str]:
        return ["in al, 0x60"]

    def program(self, length: int) -> str:
        kinds = (
            self.binary, self.binary, self.binary, self.loaded, self.unary, self.shift, self.extended, self.conditional,
            self.conditional, self.chosen, self.stacked, self.called, self.strings, self.addressed, self.multiplied,
            self.looped, self.asked,
        )  # fmt: skip
        lines = ["main:"]
        for register in DWORDS:
            lines.append(f"mov {register}, {self.chance.getrandbits(32):#x}")
        for _ in range(length):
            lines += self.chance.choice(kinds)()
        lines += ["cmp al, bl"] if self.chance.random() < 0.5 else []
        return "\n".join([*lines, "hlt"])


def state(name: str, image: bytes, bits: int):
    ran = run(name, image, bits, PLAIN)
    assert ran.how == "halted", ran.report.ending.text
    registers = {key: value for key, value in ran.registers.items() if key != "rflags"}
    return registers, ran.registers["rflags"] & 0xCC5, ran.memory[SCRATCH : SCRATCH + 64], len(ran.told.trapped())


@pytest.mark.parametrize("bits", MODES)
def test_random_programs_end_in_the_same_state_as_on_a_processor(bits) -> None:
    available("kvm")
    for seed in range(40):
        text = Writer(bits, seed).program(40)
        image = code(text, bits)
        assert state("sim", image, bits) == state("kvm", image, bits), f"seed {seed}:\n{text}"


@pytest.mark.slow
@pytest.mark.parametrize("bits", MODES)
def test_many_random_programs_end_in_the_same_state_as_on_a_processor(bits) -> None:
    available("kvm")
    for seed in range(1000, 2000):
        text = Writer(bits, seed).program(60)
        image = code(text, bits)
        assert state("sim", image, bits) == state("kvm", image, bits), f"seed {seed}:\n{text}"


@pytest.mark.parametrize("bits", MODES)
def test_an_unknown_instruction_ends_the_run_and_says_which(bits) -> None:
    ran = run("sim", code("fninit", bits), bits, PLAIN)
    assert ran.how == "crashed"
    assert "does not know the instruction at rip" in ran.report.ending.text
    assert "(db e3 " in ran.report.ending.text
