"""The generated exit handler as an executor: compiled by this machine's compiler, and called for every access.

What it does with each (which hook it calls and with which rule's line, what value the guest gets, what is injected)
is compared with the actions that the evaluator gives. What is written is 0, at privilege level 0.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import NamedTuple

from policyc import resources
from policyc.bundle.read import Bundle
from policyc.emitters import ctext
from policyc.emitters.rows import profile_name
from policyc.proof.evaluate import Verdict
from policyc.verify.compare import Compared, Difference
from policyc.verify.results import Begin, Listener, Result, alike, variant_name
from policyc.verify.rom import compiler, version
from policyc.verify.told import Told, access, told
from policyc.vocabulary.access import COLUMN_NAMES, COLUMN_WIDTHS, COLUMNS, MSR_COLUMNS, MSR_WRITE, PORT_LAST, Access
from policyc.vocabulary.diagnostic import UnreadableError

FILES = ("exit_handler.c", "exit_handler.h")

_MSRS = (
    (0, 0x20FF), (0x4000_0000, 0x4000_00FF), (0x4B56_4D00, 0x4B56_4D07), (0xBFFF_FFF0, 0xC000_20FF),
    (0xC000_FFF0, 0xC001_20FF), (0xFFFF_FFF0, 0xFFFF_FFFF),
)  # fmt: skip
"""The windows and what lies around them, and MSRs far away."""

_REAL = 0x1122_3344_5566_7788
_DONE, _FAULT, _KILL = 0, 2, 4
_FLAGS = ("-std=c11", "-O1", "-w")
_TIMEOUT = 120
_KINDS = {"rdmsr": 0, "wrmsr": 1, "in": 2, "out": 3}


class Question(NamedTuple):
    column: int
    first: int
    last: int


class Stretch(NamedTuple):
    """first..last: addresses with which the handler did the same. word: what, as runtime/handler/drive.c says it."""

    first: int
    last: int
    word: str


class Handler:
    """The executor ``handler``. It compiles and runs C that is part of the bundle, so it only runs when it is named."""

    name = "handler"
    target: str | None = None
    unasked = False

    def missing(self) -> tuple[str, ...]:
        return () if compiler() else ("a C compiler: apt install gcc",)

    def verify(self, bundle: Bundle, profile: str | None, begin: Begin) -> Iterator[Result]:
        target = bundle.manifest.targets[0]
        with tempfile.TemporaryDirectory(prefix="policyc-") as folder:
            tools = (version(_compiler()),)
            program = build(bundle, target, folder)
            for numbers in alike(bundle, target, profile):
                start = perf_counter()
                listen = begin(f"{self.name}, {variant_name(bundle, numbers[0])}")
                compared = _compared(bundle, numbers[0], target, program, listen)
                names = tuple(variant_name(bundle, number) for number in numbers)
                yield Result(self.name, names, tools, perf_counter() - start, compared)


def _compiler() -> str:
    found = compiler()
    if found is None:
        raise UnreadableError("the handler cannot be compiled without a C compiler: apt install gcc")
    return found


def build(bundle: Bundle, target: str, folder: str) -> str:
    """The program that calls the handler; its path. Raises UnreadableError with what the compiler says."""
    for name in FILES:
        with open(os.path.join(folder, name), "wb") as stream:
            stream.write(bundle.file(name))
    with open(os.path.join(folder, "glue.h"), "w", encoding="ascii") as text:
        text.write(_glue(bundle, target))
    program = os.path.join(folder, "drive")
    sources = [os.path.join(resources.folder("runtime/handler"), "drive.c"), os.path.join(folder, FILES[0])]
    words = [_compiler(), *_FLAGS, "-I", folder, *sources, "-o", program]
    try:
        done = subprocess.run(words, capture_output=True, timeout=_TIMEOUT, check=False, text=True)
    except (OSError, subprocess.SubprocessError) as reason:
        raise UnreadableError(f"the handler cannot be compiled: {reason}") from None
    if done.returncode != 0:
        said = next((line for line in done.stderr.splitlines() if "error" in line), "the compiler says nothing")
        raise UnreadableError(f"the handler does not compile: {said[:300]}")
    return program


def _profiles(bundle: Bundle) -> list[str | None]:
    return list(dict.fromkeys(each.profile for each in bundle.manifest.variants))


def _glue(bundle: Bundle, target: str) -> str:
    """What drive.c needs to know of this bundle's names."""
    prefix = ctext.prefix(bundle.manifest.policy)
    declared = ctext.forwards(bundle.file(FILES[1]).decode("ascii", "replace"))
    lines = [
        '#include "exit_handler.h"',
        f"#define TARGET_{target.upper()}",
        f"#define TYPE(name) {prefix}_##name",
        f"#define FUNCTION(name) {prefix}_##name",
        f"static const struct {prefix}_profile *const PROFILES[] = {{",
        *(f"\t&{profile_name(prefix, each)}," for each in _profiles(bundle)),
        "};",
        "#define HANDLERS " + " ".join(f"FORWARD(policyc_{space}, {name})" for name, space in declared),
    ]
    return "\n".join(lines) + "\n"


def _questions(target: str) -> Iterator[Question]:
    for column in COLUMNS:
        if column not in MSR_COLUMNS:
            yield Question(column, 0, PORT_LAST)
            continue
        for first, last in _MSRS:
            if target == "kvm" and first == 0:  # KVM keeps the x2APIC's MSRs to itself.
                yield Question(column, 0, 0x7FF)
                yield Question(column, 0x900, last)
            else:
                yield Question(column, first, last)


def _compared(bundle: Bundle, number: int, target: str, program: str, listen: Listener) -> Compared:
    reading = told(bundle.manifest, number, target)
    asked = list(_questions(target))
    variant = bundle.manifest.variants[number]
    _, vcpus = bundle.manifest.vcpu_classes[variant.vcpu_class]
    found: list[Difference] = []
    total = differing = 0
    rows = _answers(program, _profiles(bundle).index(variant.profile), vcpus[0][0], asked)
    for at, (question, stretches) in enumerate(zip(asked, rows, strict=True)):
        listen(at / len(asked))
        total += question.last - question.first + 1
        for each in _wrong(bundle, number, reading, target, question, stretches):
            differing += each.accesses
            found.append(each)
    return Compared(total, differing, tuple(found))


def _answers(program: str, profile: int, vcpu: int, asked: Sequence[Question]) -> list[list[Stretch]]:
    lines = [
        f"{profile} {vcpu} {_KINDS[COLUMN_NAMES[each.column].split()[0]]} {COLUMN_WIDTHS[each.column]} "
        f"{each.first:x} {each.last:x}\n"
        for each in asked
    ]
    try:
        done = subprocess.run(
            [program], input="".join(lines), capture_output=True, timeout=_TIMEOUT, check=False, text=True
        )
    except (OSError, subprocess.SubprocessError) as reason:
        raise UnreadableError(f"the handler does not run: {reason}") from None
    rows: list[list[Stretch]] = [[]]
    for line in done.stdout.splitlines():
        if line == ".":
            rows.append([])
            continue
        first, last, word = line.split(" ", 2)
        rows[-1].append(Stretch(int(first, 16), int(last, 16), word))
    if done.returncode != 0 or len(rows) != len(asked) + 1:
        raise UnreadableError(f"the handler ends too early (exit code {done.returncode})")
    return rows[:-1]


def _wrong(
    bundle: Bundle,
    number: int,
    reading: Told,
    target: str,
    question: Question,
    stretches: Sequence[Stretch],
) -> Iterator[Difference]:
    """One difference for each piece of a stretch in which the rules are the same."""
    cuts = _cuts(bundle, number, question.column)
    for each in stretches:
        inner = cuts[bisect_right(cuts, each.first) : bisect_right(cuts, each.last)]
        for start, after in zip((each.first, *inner), (*inner, each.last + 1), strict=True):
            made = access(question.column, start)
            verdict = reading.verdict(made, target)
            right = _word(reading, verdict, made)
            if re.fullmatch(right, each.word):
                continue
            said = right.replace(r"\d+", "any").replace("[0-9a-f]+", "any")
            yield Difference(made.kind, start, made.width, said, each.word, reading.rule(verdict), None, after - start)


def _cuts(bundle: Bundle, number: int, column: int) -> list[int]:
    """Addresses where what is expected may change: the first of each stretch of accesses that meet the same rules."""
    document = bundle.manifest.document
    runs = document["decisions"][document["variants"][number]["decisions"][COLUMN_NAMES[column]]]
    cuts = {0x800, 0x900, 0x2000, 0xC000_0000, 0xC000_2000, 0xC001_0000, 0xC001_2000}
    reach = 0
    if column not in MSR_COLUMNS:
        cuts, reach = {0xFFFD, 0xFFFE, 0xFFFF}, COLUMN_WIDTHS[column] - 1
    cuts |= {lo - back for lo, _, _ in runs for back in range(reach + 1) if lo >= back}
    return sorted(cuts)


def _word(reading: Told, verdict: Verdict, made: Access) -> str:
    """What drive.c must print, as a regular expression."""
    action = verdict.actions[-1]
    ones = (1 << 8 * made.width) - 1
    write = made.kind in ("wrmsr", "out")
    line = r"\d+" if verdict.rule is None else str(reading.origin[verdict.rule]["line"])
    real = 0 if write else _REAL & ones
    if action.name == "passthrough":
        return f"real={real:x},{_DONE}"
    if action.name == "mask":
        return f"real={(real & action.number('and') | action.number('or')) & ones:x},{_DONE}"
    if action.name in ("exit", "notify"):
        return f"{action.name}:{line},{_DONE}"
    if action.name == "kill":
        return f"kill:{line},{_KILL}"
    if action.name == "forward":
        return f"forward={action.handler()},{_DONE}"
    if action.name == "inject":
        return f"inject:{action.number('vector')},{_FAULT}"
    if action.name == "shadow":
        return f"quiet=[0-9a-f]+,{_DONE}"
    if action.name == "const":
        return f"quiet={action.number('value') & ones:x},{_DONE}"
    nothing = 0 if write or made.column <= MSR_WRITE else ones
    return f"quiet={nothing:x},{_DONE}"
