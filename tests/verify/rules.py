"""Rules of the hardware, each as accesses whose outcome it decides; docs/emulators.md has the table that they make.

Every rule stands alone: images of its own (all zero but for what it says), the accesses, which of them exit. The
expected outcomes are read from the manuals, not from policyc's code.

The handler is told of each access that exits, as the processor tells it, and must read what the manual says is there:
which access, at which first port, how wide, how many elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from policyc.proof.kvm import Filter, Range
from policyc.verify import kvm
from policyc.verify.emulated import EMULATED, Emulated, rows
from policyc.verify.emulators import Machine
from policyc.verify.probes import ADDRESS, Answer, Sweep, payload, told_of_exit
from policyc.verify.rom import probe_rom
from tests.handler.native import DONE, IN, OUT, RDMSR, WRMSR, Native
from tests.semantics.policies import make
from tests.semantics.policies import rule as statement

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
    """ports, reads, writes: the bits that are set. past: IOPM bits 65536..65538. vmx, svm, kvm: one letter an access, x
    for an exit; empty where there is no such rule. controls: of VT-x. told: what an exit says counts as well. filter:
    of KVM, if not the one that reads and writes make. segments: those that SVM names in EXITINFO1, one an access; it
    does so with decode assists alone, which FreeBSD's bhyve found by trying and the APM leaves open (bhyve's svm.c).
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
    kvm: str = ""
    filter: Filter | None = None
    segments: tuple[int, ...] = ()


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
    Rule(
        "... and SVM with decode assists the segment of OUTS, EXITINFO1 bits 12:10",
        (Sweep("outs", 1, 0x80),) * 6,
        "",
        "xxxxxx",
        ports=(0x80,),
        segments=(0, 1, 2, 3, 4, 5),
    ),
    Rule("RDMSR and WRMSR have bits of their own", (rdmsr(0x10), wrmsr(0x10)), "x.", "x.", reads=(0x10,), kvm="x."),
    Rule("... the other way round", (rdmsr(0xC0000100), wrmsr(0xC0000100)), ".x", ".x", writes=(0xC0000100,), kvm=".x"),
    Rule(
        "MSRs 0..0x1fff and 0xc0000000..0xc0001fff have bits, all zero",
        (rdmsr(0), rdmsr(0x1FFF), wrmsr(0x1FFF), rdmsr(0xC0000000), rdmsr(0xC0001FFF)),
        ".....",
        ".....",
        kvm=".....",
    ),
    Rule(
        "every other MSR exits, whatever the bits",
        (rdmsr(0x2000), wrmsr(0x2000), rdmsr(0xBFFFFFFF), rdmsr(0xC0002000), rdmsr(0x40000000), wrmsr(0xFFFFFFFF)),
        "xxxxxx",
        "xxxxxx",
        kvm="......",
    ),
    Rule("MSRs 0xc0010000..0xc0011fff, all bits zero", (rdmsr(0xC0010000), rdmsr(0xC0011FFF)), "xx", "..", kvm=".."),
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

KVM_RULES = (
    Rule("every port access exits to the VMM, as one", (in_(0x80), out(0x81, 2), in_(0xFFFE, 4)), "", "", kvm="xxx"),
    Rule(
        "a 1 in a range's bitmap lets through, a 0 exits",
        (rdmsr(0x174), rdmsr(0x175), rdmsr(0x176), wrmsr(0x175)),
        "",
        "",
        kvm=".x..",
        filter=Filter(False, (Range(1, 0x174, 3, 0b101),)),
    ),
    Rule(
        "of several ranges the first with the MSR and the kind of access decides",
        (rdmsr(0x174), wrmsr(0x174), rdmsr(0x175)),
        "",
        "",
        kvm="x.x",
        filter=Filter(False, (Range(1, 0x174, 1, 0), Range(3, 0x174, 2, 1), Range(2, 0x174, 1, 0))),
    ),
    Rule(
        "outside of all ranges the filter's default decides, known MSR or not",
        (rdmsr(0x174), rdmsr(0x175), wrmsr(0x12345678)),
        "",
        "",
        kvm=".xx",
        filter=Filter(True, (Range(3, 0x174, 1, 1),)),
    ),
    Rule(
        "the x2APIC's MSRs 0x800..0x8ff are never filtered",
        (rdmsr(0x7FF), rdmsr(0x802), wrmsr(0x80B), rdmsr(0x8FF), rdmsr(0x900)),
        "",
        "",
        kvm="x...x",
        filter=Filter(True, (Range(3, 0x7FF, 0x102, 0),)),
    ),
    Rule(
        "a range that ends at 2^32 holds nothing",
        (rdmsr(0xFFFFFFFF), rdmsr(0xFFFFFFF0)),
        "",
        "",
        kvm="..",
        filter=Filter(False, (Range(3, 0xFFFFFFF0, 0x10, 0),)),
    ),
)
"""Of KVM's filter alone (Documentation/virt/kvm/api.rst 4.97)."""

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
    return {"vmx": rule.vmx, "svm": rule.svm, "kvm": rule.kvm}[target]


NOT_APPLICABLE = {
    "a": "KVM has no bitmap for ports, and no strings, REP or immediates: it hands over every port access, element by "
    "element",
    "b": "a control, or a rule, of VT-x alone",
    "c": "nothing exits, so the handler is not called",
    "d": "a rule of KVM's filter alone",
    "e": "whether there is an exit is settled before the handler is called",
    "f": "a rule of SVM alone",
    "g": "neither emulator has decode assists (CPUID Fn8000_000A EDX bit 7)",
}
EXECUTORS = (*(each.name for each in EMULATED), "kvm", "handler")


def why_not(rule: Rule, executor: str) -> str:
    """The letter of NOT_APPLICABLE for an executor that a rule does not concern; empty where it does."""
    if executor == "handler":
        if rule.controls or rule.filter or rule in KVM_RULES:
            return "d" if rule in KVM_RULES else "e"
        return "" if "x" in rule.vmx + rule.svm else "c"
    if executor == "kvm":
        if rule.kvm:
            return ""
        return "b" if rule.controls else "a"
    if rule in KVM_RULES:
        return "d"
    if rule.segments:
        return "f" if executor == "bochs-vmx" else "g"
    return "" if letters(rule, "vmx" if executor == "bochs-vmx" else "svm") else "b"


def measure(executor: Emulated, rule: Rule) -> str:
    """``agreed`` or ``differs``."""
    expected = letters(rule, executor.target)
    msr, io = images(rule, executor.target)
    controls = rule.controls | HAD_TO_BE_ONE if rule.controls else 0
    rom = probe_rom()
    data = payload(executor.target, msr, io, rule.accesses, controls)
    text = executor.run(Machine(rom.path, ((data, ADDRESS),)), lambda _: None).text
    found = [runs[0].answer for runs in rows(executor.name, rule.accesses, text)]
    return "agreed" if _as_expected(rule, executor.target, expected, found) else "differs"


def measure_kvm(rule: Rule) -> str:
    """The same of KVM, whose filter denies what the rule's bits name."""
    denied = [Range(1, each, 1, 0) for each in rule.reads] + [Range(2, each, 1, 0) for each in rule.writes]
    found = kvm.ask(rule.filter or Filter(False, tuple(denied)), rule.accesses, lambda _: None)
    return "agreed" if _as_expected(rule, "kvm", rule.kvm, [runs[0].answer for runs in found]) else "differs"


def _as_expected(rule: Rule, target: str, expected: str, found: Sequence[Answer]) -> bool:
    for sweep, letter, answer in zip(rule.accesses, expected, found, strict=True):
        if (answer.letter == "x") != (letter == "x") or answer.letter == "?":
            return False
        if rule.told and answer != told_of_exit(target, sweep, sweep.first):
            return False
    return True


ONE_DIRECTION = 0x80
"""The port of which a rule names OUT alone: its IN exits as well, and the handler passes it on itself."""
REPEATED = 2
"""Elements of a string access with REP, as runtime/reference/probe.c has it."""


def handler(folder: Path) -> Native:
    """An exit handler for all the bits that any rule sets."""
    ports = {port for each in RULES for port in each.ports} - {ONE_DIRECTION}
    return Native(
        make(
            statement("intercept", "io", ONE_DIRECTION, "out"),
            *(statement("intercept", "io", port) for port in sorted(ports)),
            *(
                statement("intercept", "msr", msr, "read")
                for msr in sorted({msr for each in RULES for msr in each.reads})
            ),
            *(
                statement("intercept", "msr", msr, "write")
                for msr in sorted({msr for each in RULES for msr in each.writes})
            ),
        ),
        folder,
    )


def measure_handler(machine: Native, rule: Rule) -> str:
    """Whether the handler reads each exit, of either processor, as the access that it is about."""
    for target in ("vmx", "svm"):
        segments = rule.segments or (0,) * len(rule.accesses)
        for sweep, letter, segment in zip(rule.accesses, letters(rule, target), segments, strict=False):
            if letter == "x" and not _read_rightly(machine, target, sweep, segment):
                return "differs"
    return "agreed"


def _read_rightly(machine: Native, target: str, sweep: Sweep, segment: int) -> bool:
    """segment: of what OUTS reads; 0 is ES, which IN, OUT and INS leave there."""
    made = told_of_exit(target, sweep, sweep.first)
    guest = machine.guest
    guest.rip, guest.rcx, guest.rsi, guest.rdi, guest.long_mode = 0x1000, sweep.first, 0x2000, 0x2000, False
    if sweep.width != 8:
        guest.rcx = REPEATED
    where = 0 if sweep.width == 8 else sweep.first << 16
    if target == "vmx":
        status = machine.vmx(made.reason, made.info1 | where, info=1 << 7)
    else:
        status = machine.svm(made.reason, made.info1 | segment << 10 | where, 0x1002, 0)
    kind = {"rdmsr": RDMSR, "wrmsr": WRMSR, "in": IN, "out": OUT}[sweep.access]
    passed = kind == IN and sweep.first <= ONE_DIRECTION < sweep.first + sweep.width
    seen = [each[:4] for each in machine.events if each[0] in ("exit", "real")]
    if any(each[0] == "read" and each[1] != segment for each in machine.events):
        return False
    once = ("real" if passed else "exit", kind, sweep.first, sweep.width)
    return status == DONE and guest.rip == 0x1002 and seen == [once] * (REPEATED if sweep.repeat else 1)


def table(measured: dict[tuple[str, str], str]) -> str:
    """The table as Markdown, and the reasons for which a rule is not applicable. measured: by rule and executor."""
    lines = [f"| rule | VT-x | SVM | KVM | {' | '.join(EXECUTORS)} |", "|---|---|---|---|" + "---|" * len(EXECUTORS)]
    for rule in (*RULES, *KVM_RULES):
        cells = [rule.name, _outcome(rule.vmx), _outcome(rule.svm), _outcome(rule.kvm)]
        cells += [measured[rule.name, name] for name in EXECUTORS]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Not applicable:", "", *(f"* {letter}: {why}." for letter, why in NOT_APPLICABLE.items())]
    return "\n".join(lines) + "\n"


def _outcome(outcome: str) -> str:
    """How many of a rule's accesses exit."""
    return f"{outcome.count('x')} of {len(outcome)} exit" if outcome else "-"


def expected_table() -> str:
    """The table that the rules and KNOWN make."""
    return table({(rule.name, name): expected(rule, name) for rule in (*RULES, *KVM_RULES) for name in EXECUTORS})


def expected(rule: Rule, executor: str) -> str:
    """``agreed``, ``differs``, or ``-`` with the letter that says why the rule is none of the executor's."""
    letter = why_not(rule, executor)
    if letter:
        return f"- ({letter})"
    return "differs" if (rule.name, executor) in KNOWN else "agreed"
