"""Raw images read back: which accesses exit under them, whoever made them."""

from __future__ import annotations

from typing import NamedTuple

from policyc.architecture.svm import IOPM_BYTES, MSRPM_BYTES
from policyc.architecture.svm import MSR_WINDOWS as SVM_WINDOWS
from policyc.architecture.vmx import IO_BITMAP_BYTES, MSR_BITMAP_BYTES
from policyc.architecture.vmx import MSR_WINDOWS as VMX_WINDOWS
from policyc.proof.rows import Strip, strips
from policyc.vocabulary.access import IO_MASK, MSR_LAST, MSR_MASK, MSR_READ, MSR_WRITE, PORT_LAST
from policyc.vocabulary.intervals import Interval, Intervals, intersect, normal, subtract

BY_SIZE = {
    MSR_BITMAP_BYTES: ("msr.bin",),
    2 * IO_BITMAP_BYTES: ("io.bin", "msrpm.bin"),
    MSRPM_BYTES: ("io.bin", "msrpm.bin"),
    IOPM_BYTES: ("iopm.bin",),
}
"""What an image of that many bytes can be. A VMX I/O bitmap pair and an SVM MSR permission map have the same size."""

FILTER = "kvm_filter.json"
KINDS = ("msr.bin", "io.bin", "msrpm.bin", "iopm.bin", FILTER)


class Exits(NamedTuple):
    """What exits under one image. image: a member of KINDS. read, write: MSRs, None where the image is about ports.

    ports: None where it is about MSRs. windows: the MSRs that it can decide at all.
    """

    image: str
    windows: Intervals
    read: Intervals | None
    write: Intervals | None
    ports: Intervals | None

    def ranges(self) -> tuple[tuple[int, int, int], ...]:
        """lo, hi and the mask of the columns that exit there, in the order of addresses."""
        if self.ports is not None:
            return tuple((lo, hi, IO_MASK) for lo, hi in self.ports)
        read, write = self.read or (), self.write or ()
        parts = (
            (intersect(read, write), MSR_MASK),
            (subtract(read, write), 1 << MSR_READ),
            (subtract(write, read), 1 << MSR_WRITE),
        )
        return tuple(sorted((lo, hi, columns) for ranges, columns in parts for lo, hi in ranges))


def kinds_of(data: bytes) -> tuple[str, ...]:
    """What the bytes can be, members of KINDS; empty if they are no image."""
    if data[:1] == b"{":
        return (FILTER,)
    return BY_SIZE.get(len(data), ())


def read_image(image: str, data: bytes) -> Exits:
    """What exits under an image of that kind. Raises ValueError if the bytes are not such an image."""
    if image == FILTER:
        from policyc.proof.kvm import denied, read

        subject = read(data)
        return Exits(image, ((0, MSR_LAST),), denied(subject, False), denied(subject, True), None)
    if image not in kinds_of(data):
        raise ValueError(f"{len(data):,} bytes are no {image}")
    bits = int.from_bytes(data, "little")
    if image in ("io.bin", "iopm.bin"):
        found = [pair for strip in strips(image) if strip.first <= PORT_LAST for pair in _ones(bits, strip)]
        return Exits(image, (), None, None, normal(found))
    columns: dict[int, list[Interval]] = {MSR_READ: [], MSR_WRITE: []}
    for strip in strips(image):
        columns[strip.column] += _ones(bits, strip)
    windows = VMX_WINDOWS if image == "msr.bin" else SVM_WINDOWS
    return Exits(image, windows, normal(columns[MSR_READ]), normal(columns[MSR_WRITE]), None)


def _ones(bits: int, strip: Strip) -> list[Interval]:
    """The addresses of a strip whose bit is set."""
    out: list[Interval] = []
    text = f"{bits >> strip.start:b}"[::-1][:: strip.step][: strip.last - strip.first + 1]
    at = text.find("1")
    while at >= 0:
        end = text.find("0", at)
        end = len(text) if end < 0 else end
        out.append((strip.first + at, strip.first + end - 1))
        at = text.find("1", end)
    return out
