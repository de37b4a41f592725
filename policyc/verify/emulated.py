"""Emulators that execute a bundle's images: one entry an executor, named as ``policyc verify --on`` names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from time import perf_counter
from typing import NamedTuple

from policyc.bundle.read import Bundle
from policyc.verify import emulators, results
from policyc.verify.compare import compare, in_images
from policyc.verify.emulators import Listener, Machine, Printed
from policyc.verify.plan import Question, accesses
from policyc.verify.probes import ADDRESS, Run, Sweep, answers, payload
from policyc.verify.results import Begin, Result
from policyc.verify.rom import HOW, compiler, probe_rom
from policyc.verify.subjects import IO_IMAGE, MSR_IMAGE, Subject, subjects
from policyc.vocabulary.diagnostic import UnreadableError

SVM_ADDRESS_SIZE = 0x380
"""EXITINFO1 bits 9:7. QEMU's translator leaves them 0."""


class Said(NamedTuple):
    """What an executor answered: one row of runs a sweep. tools: what it ran on and was built by, with versions."""

    rows: tuple[tuple[Run, ...], ...]
    tools: tuple[str, ...]


class Emulated(NamedTuple):
    """An emulator as an Executor. lacks: empty, or what to install. not_told: bits of info1 that it never sets. run:
    machine and listener in, what was printed out."""

    name: str
    target: str
    lacks: Callable[[], str]
    run: Callable[[Machine, Listener], Printed]
    not_told: int = 0
    unasked: bool = True

    def missing(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.lacks(), "" if compiler() else HOW)))

    def ask(self, msr: bytes, io: bytes, sweeps: Sequence[Sweep], listen: Listener) -> Said:
        """Execute the sweeps under the images. Raises UnreadableError where the emulator fails."""
        rom = probe_rom()
        machine = Machine(rom.path, ((payload(self.target, msr, io, sweeps), ADDRESS),))
        printed = self.run(machine, listen)
        return Said(rows(self.name, sweeps, printed.text), (printed.version, rom.compiler))

    def verify(self, bundle: Bundle, profile: str | None, begin: Begin) -> Iterator[Result]:
        for subject in subjects(bundle, self.target, profile):
            yield self.on(subject, begin(f"{self.name}, {subject.names[0]}"))

    def on(self, subject: Subject, listen: results.Listener) -> Result:
        """Execute and compare one subject."""
        start = perf_counter()
        sweeps = [each.sweep for each in subject.asked]
        said = self.ask(subject.msr, subject.io, sweeps, _share(subject.asked, listen))
        find = in_images({MSR_IMAGE[self.target]: subject.msr, IO_IMAGE[self.target]: subject.io})
        compared = compare(subject.told, self.target, find, subject.asked, said.rows, self.not_told)
        return Result(self.name, subject.names, said.tools, perf_counter() - start, compared)


def _share(asked: Sequence[Question], listen: results.Listener) -> Listener:
    """From pieces of output to shares of the work: each sweep's line begins with ``>``."""
    total = accesses(asked)
    before = accumulate((each.sweep.length for each in asked), initial=0)

    def heard(piece: str) -> None:
        for _ in range(piece.count(">")):
            listen(next(before, total) / total)

    return heard


def rows(name: str, sweeps: Sequence[Sweep], text: str) -> tuple[tuple[Run, ...], ...]:
    """The answers that a machine printed. Raises UnreadableError unless all are there. name: for the message."""
    lines = text.splitlines()
    if "DONE" not in lines:
        raise UnreadableError(f"{name} does not finish: {_last_words(lines)}")
    told = [line[1:] for line in lines if line.startswith(">")]
    if len(told) != len(sweeps):
        raise UnreadableError(f"{name} answers {len(told):,} of {len(sweeps):,} questions")
    return tuple(answers(sweep, line) for sweep, line in zip(sweeps, told, strict=True))


def _last_words(lines: Sequence[str]) -> str:
    for line in reversed(lines):
        for word in ("REFUSED ", "FAULT ", "ENTRY "):
            if line.startswith(word):
                return line[len("REFUSED ") :] if word == "REFUSED " else line
    return "it prints nothing that is known"


EMULATED = (
    Emulated(
        "bochs-vmx",
        "vmx",
        emulators.bochs_missing,
        lambda machine, listen: emulators.bochs(machine, emulators.INTEL_MODELS[0], listen),
    ),
    Emulated(
        "bochs-svm",
        "svm",
        emulators.bochs_missing,
        lambda machine, listen: emulators.bochs(machine, emulators.AMD_MODEL, listen),
    ),
    Emulated("qemu-svm", "svm", emulators.qemu_missing, emulators.qemu, SVM_ADDRESS_SIZE),
)
"""Named as ``policyc verify --on`` names them."""
