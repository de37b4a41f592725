"""Who executes a bundle's images: one entry an executor, named as ``policyc verify --on`` names it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from policyc.verify import emulators
from policyc.verify.emulators import Listener, Machine, Printed
from policyc.verify.probes import ADDRESS, Run, Sweep, answers, payload
from policyc.verify.rom import HOW, compiler, probe_rom
from policyc.vocabulary.diagnostic import UnreadableError

SVM_ADDRESS_SIZE = 0x380
"""EXITINFO1 bits 9:7. QEMU's translator leaves them 0."""


class Said(NamedTuple):
    """What an executor answered: one row of runs a sweep. tools: what it ran on and was built by, with versions."""

    rows: tuple[tuple[Run, ...], ...]
    tools: tuple[str, ...]


class Executor(NamedTuple):
    """target: whose images it executes. missing: empty, or what to install. not_told: bits of info1 that it never
    sets. run: machine and listener in, what was printed out."""

    name: str
    target: str
    missing: Callable[[], str]
    run: Callable[[Machine, Listener], Printed]
    not_told: int = 0

    def ask(self, msr: bytes, io: bytes, sweeps: Sequence[Sweep], listen: Listener) -> Said:
        """Execute the sweeps under the images. Raises UnreadableError where the executor fails."""
        rom = probe_rom()
        machine = Machine(rom.path, ((payload(self.target, msr, io, sweeps), ADDRESS),))
        printed = self.run(machine, listen)
        return Said(rows(self.name, sweeps, printed.text), (printed.version, rom.compiler))


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


def _missing(emulator: Callable[[], str]) -> str:
    return emulator() or ("" if compiler() else HOW)


EXECUTORS = (
    Executor(
        "bochs-vmx",
        "vmx",
        partial(_missing, emulators.bochs_missing),
        lambda machine, listen: emulators.bochs(machine, emulators.INTEL_MODELS[0], listen),
    ),
    Executor(
        "bochs-svm",
        "svm",
        partial(_missing, emulators.bochs_missing),
        lambda machine, listen: emulators.bochs(machine, emulators.AMD_MODEL, listen),
    ),
    Executor("qemu-svm", "svm", partial(_missing, emulators.qemu_missing), emulators.qemu, SVM_ADDRESS_SIZE),
)
