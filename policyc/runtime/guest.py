"""Guest images, and the state in which a backend starts them: the same for every backend.

Flat binaries of 16-, 32- and 64-bit code, and static ELF executables. Images may come from anybody: nothing in them is
believed before it was checked against the memory that the guest has.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from policyc.bundle.folder import shown, why
from policyc.vocabulary.diagnostic import UnreadableError

MODES = (16, 32, 64)
LOAD_AT = {16: 0x1000, 32: 0x10_0000, 64: 0x10_0000}
"""Where a flat image lies when nobody says otherwise; its first byte is where it starts."""
MEMORY = 16 << 20
LEAST_MEMORY, MOST_MEMORY = 1 << 20, 1 << 30
LARGEST_IMAGE = 256 << 20

TABLES = 0x8000
"""Bytes at the end of memory that hold what firmware would have left: see ``prepare``."""
_GDT, _IDT, _STUBS, _PML4, _PDPT, _PD = 0x0000, 0x1000, 0x2000, 0x3000, 0x4000, 0x5000
REAL_STUBS = 0x500
"""Real mode: vector n leads to the HLT at 0:0x500+n, above the interrupt vector table and the BIOS data area."""
REAL_STACK = 0xFFF0
CODE, DATA = 0x08, 0x10
"""Selectors in the GDT: flat code of the guest's size, flat data."""
GDT_LIMIT = 0x17
_HLT = b"\xf4"


class Guest(NamedTuple):
    """bits: 16, 32 or 64. pieces: (physical address, bytes). entry: where it starts. end: behind all that it needs."""

    bits: int
    pieces: tuple[tuple[int, bytes], ...]
    entry: int
    end: int


class Start(NamedTuple):
    """memory: bytes of RAM from address 0. pieces: what lies in it. stubs: address of 256 HLTs, one a vector.

    idt_limit: of the table at idt; real mode has its vectors at 0. pml4: page table of 64-bit guests, else 0.
    """

    bits: int
    memory: int
    pieces: tuple[tuple[int, bytes], ...]
    entry: int
    stack: int
    gdt: int
    idt: int
    idt_limit: int
    stubs: int
    pml4: int


def read_guest(path: str, bits: int | None, load: int | None) -> Guest:
    """The image in a file. bits: of a flat image, 16 if None; for ELF it must fit. load: of a flat image.

    Raises UnreadableError for everything that cannot be run.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(LARGEST_IMAGE + 1)
    except (OSError, ValueError) as reason:
        raise UnreadableError(f"cannot read the guest {shown(path)}: {why(reason)}") from None
    if len(data) > LARGEST_IMAGE:
        raise UnreadableError(f"the guest {shown(path)} is larger than {LARGEST_IMAGE >> 20} MiB")
    if not data:
        raise UnreadableError(f"the guest {shown(path)} is empty")
    try:
        return elf(data, bits) if data[:4] == b"\x7fELF" else flat(data, bits or 16, load)
    except UnreadableError as reason:
        raise UnreadableError(f"cannot run the guest {shown(path)}: {reason}") from None


def flat(data: bytes, bits: int, load: int | None = None) -> Guest:
    """Code that starts at its first byte."""
    at = LOAD_AT[bits] if load is None else load
    if bits == 16 and at + len(data) > REAL_STACK:
        raise UnreadableError(f"a 16-bit image ends below {REAL_STACK:#x}; {len(data):,} bytes at {at:#x} do not")
    return Guest(bits, ((at, data),), at, at + len(data))


def elf(data: bytes, bits: int | None) -> Guest:
    """A static executable of 32- or 64-bit x86, at the physical addresses it names."""
    if len(data) < 64 or data[5] != 1 or data[4] not in (1, 2):
        raise UnreadableError("it is no little-endian ELF file")
    wide = data[4] == 2
    kind, machine = struct.unpack_from("<HH", data, 16)
    if machine != (62 if wide else 3):
        raise UnreadableError(f"it is for another machine (ELF machine {machine}), not x86")
    if kind != 2:
        raise UnreadableError("it is no static executable: link it with `-static -no-pie`")
    mine = 64 if wide else 32
    if bits not in (None, mine):
        raise UnreadableError(f"it holds {mine}-bit code, not {bits}-bit")
    entry, table = struct.unpack_from("<QQ" if wide else "<II", data, 24)
    size, count = struct.unpack_from("<HH", data, 54 if wide else 42)
    if size != (56 if wide else 32) or table + size * count > len(data):
        raise UnreadableError("its program headers lie outside the file")
    pieces, end = [], 0
    for number in range(count):
        at = table + size * number
        if wide:
            type_, _, offset, _, address, length, total = struct.unpack_from("<IIQQQQQ", data, at)
        else:
            type_, offset, _, address, length, total = struct.unpack_from("<IIIIII", data, at)
        if type_ != 1 or not total:
            continue
        if offset + length > len(data) or length > total:
            raise UnreadableError(f"its segment {number} lies outside the file")
        pieces.append((address, data[offset : offset + length]))  # What follows up to total is 0, as memory is.
        end = max(end, address + total)
    if not pieces:
        raise UnreadableError("it has nothing to load")
    return Guest(mine, tuple(pieces), entry, end)


def prepare(guest: Guest, memory: int = MEMORY) -> Start:
    """The whole state at the start. Raises UnreadableError for an image that does not fit into the memory.

    16 bits: real mode, all segments 0, SP 0xfff0. 32 bits: protected mode without paging, flat segments. 64 bits: long
    mode, the first GiB mapped to itself in 2 MiB pages. An exception that the guest does not handle ends in a HLT of
    its own, so that the report can name it.
    """
    tables = memory - TABLES
    if guest.end > tables:
        room = f"{memory >> 20} MiB of memory leave room up to {tables:#x}"
        raise UnreadableError(f"the guest ends at {guest.end:#x}, and {room}")
    if guest.bits == 16:
        vectors = b"".join(struct.pack("<HH", REAL_STUBS + each, 0) for each in range(256))
        pieces = ((0, vectors), (REAL_STUBS, _HLT * 256), *guest.pieces)
        return Start(16, memory, pieces, guest.entry, REAL_STACK, 0, 0, 0x3FF, REAL_STUBS, 0)
    stubs = tables + _STUBS
    code = 0x00AF9B000000FFFF if guest.bits == 64 else 0x00CF9B000000FFFF
    gdt = struct.pack("<QQQ", 0, code, 0x00CF93000000FFFF)
    gates = b"".join(_gate(guest.bits, stubs + each) for each in range(256))
    pieces = ((tables + _GDT, gdt), (tables + _IDT, gates), (stubs, _HLT * 256))
    pml4 = 0
    if guest.bits == 64:
        pml4 = tables + _PML4
        directory = b"".join(struct.pack("<Q", each << 21 | 0x83) for each in range(512))
        pieces += (
            (pml4, struct.pack("<Q", tables + _PDPT | 3)),
            (tables + _PDPT, struct.pack("<Q", tables + _PD | 3)),
            (tables + _PD, directory),
        )
    return Start(
        guest.bits, memory, (*pieces, *guest.pieces), guest.entry, tables, tables + _GDT, tables + _IDT,
        len(gates) - 1, stubs, pml4,
    )  # fmt: skip


def _gate(bits: int, target: int) -> bytes:
    """An interrupt gate to the flat code segment (SDM vol. 3A, 6.11 and 6.14.1)."""
    low = struct.pack("<HHBBH", target & 0xFFFF, CODE, 0, 0x8E, target >> 16 & 0xFFFF)
    return low if bits == 32 else low + struct.pack("<II", target >> 32, 0)
