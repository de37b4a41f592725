"""What a proof says: how much was compared, or where the derivations differ."""

from __future__ import annotations

from policyc.semantics.policy import Variant
from policyc.vocabulary.access import Access
from policyc.vocabulary.typed import NamedTuple

KEPT = 32
"""Mismatches that one ProofError names at most; it counts all."""


class Mismatch(NamedTuple):
    """One place where the derivations differ.

    where: an image's file name, ``decision map`` or ``policy``. access: the narrowest access that shows it, reads
    before writes; None where a whole file is at fault. expected: what the evaluator says; found: what is there.
    byte, bit: the image bit, None where none is (a filter, a map, a whole file). rule: number of the rule that should
    decide, None for the default or the hardware.
    """

    variant: Variant
    where: str
    access: Access | None
    expected: str
    found: str
    byte: int | None = None
    bit: int | None = None
    rule: int | None = None

    def __str__(self) -> str:
        profile = "" if self.variant.profile is None else f"profile {self.variant.profile}, "
        lines = f"{profile}vCPU class {self.variant.vcpu_class}: {self.where}"
        if self.byte is not None:
            lines += f" byte {self.byte} bit {self.bit}"
        if self.access is not None:
            width = f" width {self.access.width}" if self.access.kind in ("in", "out") else ""
            lines += f": {self.access.kind} {self.access.address:#x}{width}"
        rule = "" if self.rule is None else f" (rule {self.rule})"
        return f"{lines}: expected {self.expected}{rule}, found {self.found}"


class ProofError(Exception):
    """The derivations differ: a bug in policyc, nothing may be written. count: all mismatches, of which the first
    KEPT are in ``mismatches``."""

    def __init__(self, mismatches: tuple[Mismatch, ...], count: int) -> None:
        self.mismatches = mismatches
        self.count = count
        super().__init__("; ".join(str(each) for each in mismatches[:3]) + ("; ..." if count > 3 else ""))


class Compared(NamedTuple):
    """subject: a target's name, or ``map`` for the decision map. kind: rdmsr, wrmsr, in or out. accesses: how many
    single accesses (kind, address and width; over all variants) were compared."""

    subject: str
    kind: str
    accesses: int


class Proof(NamedTuple):
    """compared: by subject and kind, in a fixed order. variants: how many; shared: those of them whose rules and
    defaults are those of an earlier one, so that its verdicts were taken."""

    compared: tuple[Compared, ...]
    variants: int
    shared: int

    @property
    def accesses(self) -> int:
        return sum(each.accesses for each in self.compared)


class Findings:
    """Mismatches as they are found; keeps the first KEPT, counts all."""

    def __init__(self) -> None:
        self.kept: list[Mismatch] = []
        self.count = 0

    def add(self, mismatch: Mismatch) -> None:
        self.count += 1
        if len(self.kept) < KEPT:
            self.kept.append(mismatch)

    def settle(self) -> None:
        """Raises ProofError if anything was found."""
        if self.count:
            raise ProofError(tuple(self.kept), self.count)
