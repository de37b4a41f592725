"""The filter as the kernel reads it: against a walk of single accesses, and the kernel's own refusals."""

from __future__ import annotations

import json
import random

import pytest

from policyc.proof.kvm import FilterError, Place, allowed, denied, place, read
from policyc.vocabulary.intervals import contains


def document(flags: int, *ranges: tuple[int, int, int, bytes], **more) -> bytes:
    entries = [{"flags": f, "base": b, "nmsrs": n, "bitmap": bits.hex()} for f, b, n, bits in ranges]
    return json.dumps({"format_version": 1, "flags": flags, "ranges": entries, **more}).encode()


def test_the_first_range_in_file_order_that_has_the_direction_decides() -> None:
    subject = read(
        document(
            1,
            (2, 0x10, 8, bytes([0b0000_0001] + [0] * 7)),
            (1, 0x10, 8, bytes([0b0000_0010] + [0] * 7)),
            (3, 0x10, 16, b"\xff\xff" + bytes(6)),
        )
    )
    assert place(subject, 0x10, True) == Place(0, 0, 0, 1)
    assert place(subject, 0x10, False) == Place(1, 0, 0, 0)
    assert place(subject, 0x11, False) == Place(1, 0, 1, 1)
    assert place(subject, 0x1F, True) == Place(2, 1, 7, 1)
    assert place(subject, 0x20, True) is None
    assert not allowed(subject, 0x20, True)
    assert denied(subject, True) == ((0, 0xF), (0x11, 0x17), (0x20, 0x7FF), (0x900, 0xFFFFFFFF))
    assert denied(subject, False) == ((0, 0x10), (0x12, 0x17), (0x20, 0x7FF), (0x900, 0xFFFFFFFF))


def test_a_range_that_ends_at_the_last_msr_or_past_it_matches_nothing() -> None:
    for base in (0xFFFFFFC0, 0xFFFFFFE0):
        subject = read(document(0, (3, base, 64, bytes(8))))
        assert allowed(subject, 0xFFFFFFFF, False)
        assert allowed(subject, base, True)
        assert denied(subject, False) == denied(subject, True) == ()
    assert denied(read(document(0, (3, 0xFFFFFFBF, 64, bytes(8)))), True) == ((0xFFFFFFBF, 0xFFFFFFFE),)


def test_a_range_without_an_msr_is_skipped() -> None:
    subject = read(document(1, (3, 0x10, 0, b""), (0, 0x20, 0, b""), (3, 0x10, 1, b"\1" + bytes(7))))
    assert denied(subject, True) == ((0, 0xF), (0x11, 0x7FF), (0x900, 0xFFFFFFFF))
    assert place(subject, 0x10, True) == Place(2, 0, 0, 1)
    assert denied(read(document(0, (3, 0, 0, b""), (3, 0x10, 0, b""))), True) == ()


def test_x2apic_is_allowed_whatever_the_ranges_say() -> None:
    subject = read(document(1, (3, 0x7FF, 0x102, bytes(0x28))))
    assert denied(subject, True) == ((0, 0x7FF), (0x900, 0xFFFFFFFF))
    assert allowed(subject, 0x800, True)
    assert allowed(subject, 0x8FF, False)
    assert not allowed(subject, 0x900, False)


def test_bits_from_nmsrs_on_are_never_looked_at() -> None:
    assert denied(read(document(1, (3, 0, 3, b"\xff" * 8))), True)[0] == (3, 0x7FF)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a filter"),
        (b"[]", "not a filter"),
        (b"{}", "not a filter"),
        (document(0, format_version=2), "format_version 2"),
        (document(2), "flags 2"),
        (document(1), "no\\s+range"),
        (document(1, (3, 0, 0, b"")), "no\\s+range"),
        (document(0, (0, 0, 8, bytes(8))), "flags 0"),
        (document(0, (4, 0, 8, bytes(8))), "flags 4"),
        (document(0, (3, 0, 0x3001, bytes(0x608))), "more than a bitmap holds"),
        (document(0, (3, 0, 8, bytes(1))), "1 bytes, the kernel copies 8"),
        (document(0, (3, 0, 65, bytes(8))), "8 bytes, the kernel copies 16"),
        (document(0, (3, 1 << 32, 8, bytes(8))), "outside 32 bits"),
        (document(0, *[(3, 64 * n, 64, bytes(8)) for n in range(17)]), "17 ranges"),
        (b'{"format_version": 1, "flags": true, "ranges": []}', "flags True"),
        (b'{"format_version": 1, "flags": 0, "ranges": [{"flags": 3, "base": "0", "nmsrs": 0, "bitmap": ""}]}', "type"),
        (
            b'{"format_version": 1, "flags": 0, "ranges": [{"flags": 3, "base": 0, "nmsrs": 8, "bitmap": "zz"}]}',
            "not a",
        ),
    ],
)
def test_what_the_kernel_refuses_is_no_filter(data, why) -> None:
    with pytest.raises(FilterError, match=why):
        read(data)


def test_the_largest_bitmap_and_sixteen_ranges_are_taken() -> None:
    assert len(read(document(0, *[(1, 0x3000 * n, 0x3000, bytes(0x600)) for n in range(16)])).ranges) == 16


@pytest.mark.parametrize("seed", range(20))
def test_denied_is_the_walk_of_every_single_access(seed) -> None:
    rng = random.Random(seed)
    ranges = []
    for _ in range(rng.randrange(1, 8)):
        count = rng.randrange(0, 200)
        base = rng.choice([rng.randrange(0, 400), 0x7C0, 0x8F0, (1 << 32) - 100])
        ranges.append((rng.choice([1, 2, 3]), base, count, rng.randbytes((count + 63) // 64 * 8)))
    subject = read(document(0, *ranges)) if seed % 2 else read(document(1, (1, 5, 1, bytes(8)), *ranges))
    for write in (False, True):
        found = denied(subject, write)
        for msr in (*range(0xA00), *range((1 << 32) - 300, 1 << 32)):
            assert contains(found, msr) is not allowed(subject, msr, write)
