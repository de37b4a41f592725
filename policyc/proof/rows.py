"""Rows of bits: one character, ``0`` or ``1``, an address. And where the manuals put a row's bits in an image.

A whole image is one number, so that two of them are compared at once. The places come from evaluate.msr_place and
port_place, asked at the ends of each stretch; tests/proof/test_rows.py holds every bit between to them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from policyc.architecture.svm import MSR_WINDOWS as SVM_WINDOWS
from policyc.architecture.vmx import MSR_WINDOWS as VMX_WINDOWS
from policyc.proof.evaluate import msr_place, port_place
from policyc.vocabulary.access import IN1, MSR_READ, MSR_WRITE, PORT_LAST
from policyc.vocabulary.typed import NamedTuple

PORTS = PORT_LAST + 1
SIZES = {"msr.bin": 4096, "io.bin": 8192, "msrpm.bin": 8192, "iopm.bin": 12288}
"""Bytes of each image (Intel SDM vol. 3C 25.6.4 and 25.6.9, AMD APM vol. 2 15.10 and 15.11)."""
MSR_IMAGE = {"vmx": "msr.bin", "svm": "msrpm.bin"}
PORT_IMAGE = {"vmx": "io.bin", "svm": "iopm.bin"}
WINDOWS = {"vmx": VMX_WINDOWS, "svm": SVM_WINDOWS}


class Strip(NamedTuple):
    """Bits of one image that belong to the addresses first..last of one column: that of ``first`` is bit ``start`` of
    the image, each next one ``step`` bits on. column: MSR_READ, MSR_WRITE, or IN1 for every port column."""

    column: int
    first: int
    last: int
    start: int
    step: int

    def slice(self) -> slice:
        return slice(self.start, self.start + (self.last - self.first) * self.step + 1, self.step)


@lru_cache
def strips(image: str) -> tuple[Strip, ...]:
    """Every bit of an image that hardware consults."""
    for target, name in MSR_IMAGE.items():
        if name == image:
            columns = (MSR_READ, MSR_WRITE)
            return tuple(_msr_strip(target, column, *window) for window in WINDOWS[target] for column in columns)
    # Bits 65536..65538 of the IOPM serve accesses past the last port.
    ends = [(0, 0x7FFF), (0x8000, PORT_LAST)] + ([(PORTS, PORTS + 2)] if image == "iopm.bin" else [])
    target = next(target for target, name in PORT_IMAGE.items() if name == image)
    out = []
    for first, last in ends:
        start, after, end = (_position(port_place(target, port)) for port in (first, first + 1, last))
        assert end == start + (last - first) * (after - start)
        out.append(Strip(IN1, first, last, start, after - start))
    return tuple(out)


def _msr_strip(target: str, column: int, first: int, last: int) -> Strip:
    write = column == MSR_WRITE
    start, after, end = (_position(msr_place(target, msr, write)) for msr in (first, first + 1, last))
    assert end == start + (last - first) * (after - start)
    return Strip(column, first, last, start, after - start)


def _position(place: tuple[str, int, int] | None) -> int:
    assert place is not None
    return place[1] * 8 + place[2]


@lru_cache
def consulted(image: str) -> int:
    """Ones at every bit of an image that hardware consults."""
    text = bytearray(b"0") * (SIZES[image] * 8)
    for strip in strips(image):
        text[strip.slice()] = b"1" * (strip.last - strip.first + 1)
    return number(text)


def number(row: bytes | bytearray) -> int:
    """The number whose bit n is the row's character n."""
    return int(row[::-1], 2)


def row(runs: Iterable[tuple[int, int, bool]]) -> bytes:
    """The row of neighbouring (lo, hi, bit)."""
    return b"".join([(b"1" if bit else b"0") * (hi - lo + 1) for lo, hi, bit in runs])


def put(value: int, first: int, step: int, row: bytes) -> int:
    """The number with a row's characters as its bits first, first + step, ..."""
    bits, ones = bytearray(b"0") * ((len(row) - 1) * step + 1), bytearray(b"0") * ((len(row) - 1) * step + 1)
    bits[::step], ones[::step] = row, b"1" * len(row)
    return value & ~(number(ones) << first) | number(bits) << first


def positions(value: int) -> list[int]:
    """The bits set in a number, lowest first."""
    text = f"{value:b}"[::-1]
    out, at = [], text.find("1")
    while at >= 0:
        out.append(at)
        at = text.find("1", at + 1)
    return out


def holder(image: str, position: int) -> tuple[int, int] | None:
    """Column (IN1 for every port column) and address whose bit stands at a position; None if none does."""
    for strip in strips(image):
        steps, rest = divmod(position - strip.start, strip.step)
        if not rest and 0 <= steps <= strip.last - strip.first:
            return strip.column, strip.first + steps
    return None


def port_bits(image: str, data: int) -> int:
    """The bits of ports 0..65535 (and those past them that the image has), port n at bit n."""
    out = 0
    for strip in strips(image):
        assert strip.step == 1
        ones = (1 << strip.last - strip.first + 1) - 1
        out |= (data >> strip.start & ones) << strip.first
    return out


def meetings(bits: int, width: int) -> dict[tuple[bool, ...], int]:
    """By the bits that an access of a width finds at the ports it touches, lowest first, the start ports where it finds
    these: port n at bit n. An access that runs past the last port touches fewer."""
    ports = (1 << PORTS) - 1
    out: dict[tuple[bool, ...], int] = {(): ports}
    for offset in range(width):
        there, set_ = ports >> offset, (bits & ports) >> offset
        split: dict[tuple[bool, ...], int] = {}
        for found, starts in out.items():
            for longer, where in ((found, ports ^ there), ((*found, True), set_), ((*found, False), there ^ set_)):
                if starts & where:
                    split[longer] = split.get(longer, 0) | starts & where
        out = split
    return out


def exits(bits: int, width: int, past_exits: bool) -> int:
    """From the ports' bits, which start ports exit at a width: those with any of their ports' bits set.

    past_exits: whether the processor exits whatever the bits where an access runs past the last port.
    """
    out = bits
    for offset in range(1, width):
        out |= bits >> offset
    out &= (1 << PORTS) - 1
    if past_exits:
        for offset in range(1, width):
            out |= 1 << PORTS - offset
    return out
