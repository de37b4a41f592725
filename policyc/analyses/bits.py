"""Where an image decides an access: its byte and bit, as the manuals (and KVM) lay images out."""

from __future__ import annotations

from typing import NamedTuple

from policyc.analyses.images import FILTER
from policyc.proof.evaluate import msr_place, port_place
from policyc.vocabulary.access import MSR_WRITE

TARGETS = {"msr.bin": "vmx", "io.bin": "vmx", "msrpm.bin": "svm", "iopm.bin": "svm", FILTER: "kvm"}
"""Image -> the target that reads it."""


class Bit(NamedTuple):
    """One bit of an image. range: of a KVM filter, which of its ranges holds the bitmap; None for other images."""

    byte: int
    bit: int
    range: int | None = None

    def __str__(self) -> str:
        where = "" if self.range is None else f"range {self.range} "
        return f"{where}byte {self.byte:#x} bit {self.bit}"


class Layout:
    """One image. kind: a member of policyc.analyses.images.KINDS. data: its bytes, asked for only of a KVM filter."""

    def __init__(self, kind: str, data: bytes) -> None:
        self.kind = kind
        self.target = TARGETS[kind]
        self._filter = None
        if kind == FILTER:
            from policyc.proof.kvm import read

            self._filter = read(data)

    def bit(self, column: int, address: int) -> Bit | None:
        """The bit of an address in one column; None where the image's default decides, or nothing in it."""
        write = column == MSR_WRITE
        if self._filter is not None:
            from policyc.proof.kvm import place

            found = place(self._filter, address, write)
            return None if found is None else Bit(found.byte, found.bit, found.range)
        msrs = self.kind in ("msr.bin", "msrpm.bin")
        there = msr_place(self.target, address, write) if msrs else port_place(self.target, address)
        return None if there is None else Bit(there[1], there[2])
