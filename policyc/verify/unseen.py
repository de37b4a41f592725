"""Bits of SVM's maps that no guest can see, held against what policyc writes: executing the maps cannot find them wrong.

IOPM bits 65537 and 65538: whatever access reads one of them reads bit 65536 as well, which is set. The bits after them,
and MSRPM bytes 6144..8191, no access reads at all.
"""

from __future__ import annotations

from typing import NamedTuple

from policyc.architecture.svm import IOPM_BITS, IOPM_BYTES, MSRPM_BYTES, MSRPM_RESERVED
from policyc.bundle.read import Bundle

_PAST_LAST_PORT = 65536


class Unseen(NamedTuple):
    """A bit that is not as policyc writes it. path: in the bundle. must: its right value."""

    path: str
    byte: int
    bit: int
    must: int


def unseen(bundle: Bundle) -> tuple[Unseen, ...]:
    """Every such bit of the bundle's maps, in their order."""
    found: dict[Unseen, None] = {}
    for number, variant in enumerate(bundle.manifest.variants):
        images = variant.images.get("svm", {})
        if images.keys() >= {"msrpm.bin", "iopm.bin"}:
            traps = bundle.manifest.document["variants"][number]["defaults"]["io"] != ["passthrough"]
            rest = [(_PAST_LAST_PORT + 1, IOPM_BITS, 1), (IOPM_BITS, 8 * IOPM_BYTES, int(traps))]
            found |= dict.fromkeys(_wrong(bundle, images["iopm.bin"], rest))
            found |= dict.fromkeys(_wrong(bundle, images["msrpm.bin"], [(8 * MSRPM_RESERVED[0], 8 * MSRPM_BYTES, 1)]))
    return tuple(found)


def _wrong(bundle: Bundle, path: str, stretches: list[tuple[int, int, int]]) -> list[Unseen]:
    """stretches: first bit, the one after the last, what all of them must be."""
    data = int.from_bytes(bundle.file(path), "little")
    out = []
    for first, after, must in stretches:
        ones = (1 << after - first) - 1
        differ = data >> first & ones ^ ones * must
        if differ:
            bits = [bit for bit in range(first, after) if differ >> bit - first & 1]
            out += [Unseen(path, bit // 8, bit % 8, must) for bit in bits]
    return out
