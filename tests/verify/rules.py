"""Rules of the hardware, each as accesses whose outcome it decides; docs/emulators.md has the table that they make.

Every rule stands alone: images of its own (all zero but for what it says), the accesses, which of them exit. The
expected outcomes are read from the manuals, not from policyc's code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from policyc.verify.emulated import EMULATED, Emulated, rows
from policyc.verify.emulators import Machine
from policyc.verify.probes import ADDRESS, Answer, Sweep, payload, told_of_exit
from policyc.verify.rom import probe_rom

UNCONDITIONAL, IO_BITMAPS, MSR_BITMAPS = 1 << 24, 1 << 25, 1 << 28
HAD_TO_BE_ONE = 0x04006172
"""IA32_VMX_TRUE_PROCBASED_CTLS bits 31:0 of every model that Bochs has."""


def in_(port: int, width: int = 1) -> Sweep:
    return Sweep("in", width, port)


def out(port: int, width: int = 1) -> Sweep:
    return Sweep("out", width, port)


def rdmsr(msr: int) -> Sweep:
    return Sweep("rdmsr", 8, msr)


def wrmsr(msr: int) -> Sweep:
    return Sweep("wrmsr", 8, msr)


class Rule(NamedTuple):
    """ports, reads, writes: the bits that are set. past: IOPM bits 65536..65538. vmx, svm: one letter an access, x
    for an exit; empty where the processor has no such rule. controls: of VT-x. told: what an exit says counts as well.
    """

    name: str
    accesses: tuple[Sweep, ...]
    vmx: str
    svm: str
    ports: tuple[int, ...] = ()
    reads: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()
    past: int = 0
    controls: int = 0
    told: bool = False


RULES = (
    Rule("a port's bit stands for IN and OUT alike", (in_(0x80), out(0x80), in_(0x81)), "xx.", "xx.", ports=(0x80,)),
    Rule(
        "a wide access exits if any of its bytes has its bit set",
        (in_(0x4FFC, 4), in_(0x4FFD, 4), in_(0x5000, 4), in_(0x5001, 4), in_(0x4FFF, 2), in_(0x4FFF)),
        ".xx.x.",
        ".xx.x.",
        ports=(0x5000,),
    ),
    Rule(
        "an access across 0x7fff and 0x8000 reads the bits of both",
        (in_(0x7FFC, 4), in_(0x7FFD, 4), in_(0x7FFF, 2), in_(0x7FFF), in_(0x8000)),
        ".xx.x",
        ".xx.x",
        ports=(0x8000,),
    ),
    Rule(
        "... and the last bit of the first half",
        (in_(0x7FFF, 2), in_(0x7FFF), in_(0x8000)),
        "xx.",
        "xx.",
        ports=(0x7FFF,),
    ),
    Rule(
        "an access that runs past port 0xffff, all bits zero",
        (in_(0xFFFD, 4), in_(0xFFFE, 4), in_(0xFFFF, 4), in_(0xFFFF, 2), in_(0xFFFC, 4), in_(0xFFFF)),
        "xxxx..",
        "......",
    ),
    Rule(
        "... with IOPM bits 65536..65538 set, as policyc writes them",
        (in_(0xFFFD, 4), in_(0xFFFE, 4), in_(0xFFFF, 4), in_(0xFFFF, 2), in_(0xFFFC, 4), in_(0xFFFF)),
        "xxxx..",
        "xxxx..",
        past=7,
    ),
    Rule(
        "INS and OUTS consult the same bits",
        (Sweep("ins", 1, 0x80), Sweep("outs", 2, 0x7F), Sweep("ins", 4, 0x81)),
        "xx.",
        "xx.",
        ports=(0x80,),
    ),
    Rule(
        "REP exits at the first element",
        (Sweep("ins", 1, 0x80, repeat=True), Sweep("outs", 1, 0x80, repeat=True), Sweep("ins", 1, 0x81, repeat=True)),
        "xx.",
        "xx.",
        ports=(0x80,),
    ),
    Rule(
        "a port in the instruction (IN AL, imm8) consults the same bits",
        (Sweep("in immediate", 1, 0x80), Sweep("out immediate", 1, 0x80), Sweep("in immediate", 1, 0x81)),
        "xx.",
        "xx.",
        ports=(0x80,),
    ),
    Rule(
        "an exit tells the first port, not the one whose bit was set",
        (in_(0x7E, 4), in_(0x7F, 2)),
        "xx",
        "xx",
        ports=(0x80,),
    ),
    Rule(
        "an exit tells width, direction, string, REP and immediate, and SVM the size of addresses",
        (
            in_(0x80),
            out(0x80, 2),
            Sweep("ins", 4, 0x80),
            Sweep("outs", 1, 0x80, repeat=True),
            Sweep("in immediate", 1, 0x80),
        ),
        "xxxxx",
        "xxxxx",
        ports=(0x80,),
        told=True,
    ),
    Rule("RDMSR and WRMSR have bits of their own", (rdmsr(0x10), wrmsr(0x10)), "x.", "x.", reads=(0x10,)),
    Rule("... the other way round", (rdmsr(0xC0000100), wrmsr(0xC0000100)), ".x", ".x", writes=(0xC0000100,)),
    Rule(
        "MSRs 0..0x1fff and 0xc0000000..0xc0001fff have bits, all zero",
        (rdmsr(0), rdmsr(0x1FFF), wrmsr(0x1FFF), rdmsr(0xC0000000), rdmsr(0xC0001FFF)),
        ".....",
        ".....",
    ),
    Rule(
        "every other MSR exits, whatever the bits",
        (rdmsr(0x2000), wrmsr(0x2000), rdmsr(0xBFFFFFFF), rdmsr(0xC0002000), rdmsr(0x40000000), wrmsr(0xFFFFFFFF)),
        "xxxxxx",
        "xxxxxx",
    ),
    Rule("MSRs 0xc0010000..0xc0011fff, all bits zero", (rdmsr(0xC0010000), rdmsr(0xC0011FFF)), "xx", ".."),
    Rule(
        "neither I/O bitmaps nor unconditional I/O exiting: no I/O exits",
        (in_(0x80), in_(0x81)),
        "..",
        "",
        ports=(0x80,),
        controls=MSR_BITMAPS,
    ),
    Rule(
        "unconditional I/O exiting (bit 24) alone: every access exits",
        (in_(0x80), in_(0x81)),
        "xx",
        "",
        ports=(0x80,),
        controls=MSR_BITMAPS | UNCONDITIONAL,
    ),
    Rule(
        "bits 24 and 25 (use I/O bitmaps): the bitmaps decide",
        (in_(0x80), in_(0x81)),
        "x.",
        "",
        ports=(0x80,),
        controls=MSR_BITMAPS | UNCONDITIONAL | IO_BITMAPS,
    ),
    Rule(
        "without MSR bitmaps (bit 28) every RDMSR and WRMSR exits",
        (rdmsr(0x10), wrmsr(0x10)),
        "xx",
        "",
        controls=IO_BITMAPS,
    ),
)

KNOWN = {("an exit tells width, direction, string, REP and immediate, and SVM the size of addresses", "qemu-svm")}
"""Where an executor is known to do something else than the manual says."""


def images(rule: Rule, target: str) -> tuple[bytes, bytes]:
    """The images for MSRs and for ports, by the manuals' layouts (SDM vol. 3C 25.6.4, 25.6.9; APM vol. 2 15.10, 15.11)."""
    if target == "vmx":
        msr, io = bytearray(4096), bytearray(8192)
        for part, each in [(0, each) for each in rule.reads] + [(2048, each) for each in rule.writes]:
            number = each & 0x1FFF
            msr[part + (1024 if each >= 0xC0000000 else 0) + number // 8] |= 1 << number % 8
    else:
        msr, io = bytearray(8192), bytearray(12288)
        for odd, each in [(0, each) for each in rule.reads] + [(1, each) for each in rule.writes]:
            number = 2 * (each & 0x1FFF) + odd
            msr[{0: 0, 0xC0000: 2048, 0xC0010: 4096}[each >> 12 & ~1] + number // 8] |= 1 << number % 8
        io[8192] = rule.past
    for port in rule.ports:
        io[port // 8] |= 1 << port % 8
    return bytes(msr), bytes(io)


def letters(rule: Rule, target: str) -> str:
    return rule.vmx if target == "vmx" else rule.svm


def measure(executor: Emulated, rule: Rule) -> str:
    """``agreed`` or ``differs``; empty where the rule is none of the executor's."""
    expected = letters(rule, executor.target)
    if not expected:
        return ""
    msr, io = images(rule, executor.target)
    controls = rule.controls | HAD_TO_BE_ONE if rule.controls else 0
    rom = probe_rom()
    data = payload(executor.target, msr, io, rule.accesses, controls)
    text = executor.run(Machine(rom.path, ((data, ADDRESS),)), lambda _: None).text
    found = [runs[0].answer for runs in rows(executor.name, rule.accesses, text)]
    return "agreed" if _as_expected(rule, executor.target, expected, found) else "differs"


def _as_expected(rule: Rule, target: str, expected: str, found: Sequence[Answer]) -> bool:
    for sweep, letter, answer in zip(rule.accesses, expected, found, strict=True):
        if (answer.letter == "x") != (letter == "x") or answer.letter == "?":
            return False
        if rule.told and answer != told_of_exit(target, sweep, sweep.first):
            return False
    return True


def table(measured: dict[tuple[str, str], str]) -> str:
    """The table as Markdown. measured: by rule and executor."""
    names = [each.name for each in EMULATED]
    lines = ["| rule | VT-x | SVM | " + " | ".join(names) + " |", "|---|---|---|" + "---|" * len(names)]
    for rule in RULES:
        cells = [rule.name, _outcome(rule.vmx), _outcome(rule.svm)]
        cells += [measured[rule.name, name] or "-" for name in names]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _outcome(outcome: str) -> str:
    """How many of a rule's accesses exit."""
    return f"{outcome.count('x')} of {len(outcome)} exit" if outcome else "-"


def expected_table() -> str:
    """The table that the rules and KNOWN make."""
    measured = {}
    for rule in RULES:
        for executor in EMULATED:
            if not letters(rule, executor.target):
                outcome = ""
            else:
                outcome = "differs" if (rule.name, executor.name) in KNOWN else "agreed"
            measured[rule.name, executor.name] = outcome
    return table(measured)
