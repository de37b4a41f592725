"""The stretches of bits that whole images are compared by, against the manual's place of every single bit."""

from __future__ import annotations

import random

import pytest

from policyc.proof.evaluate import msr_place, port_place
from policyc.proof.rows import SIZES, consulted, exits, holder, meetings, number, port_bits, positions, row, strips

MSRS = {"vmx": ("msr.bin", (0, 0xC0000000)), "svm": ("msrpm.bin", (0, 0xC0000000, 0xC0010000))}
PORTS = {"vmx": ("io.bin", 0x10000), "svm": ("iopm.bin", 0x10003)}


@pytest.mark.parametrize("target", ["vmx", "svm"])
def test_every_msr_bit_is_in_the_strips_and_nothing_else(target) -> None:
    image, bases = MSRS[target]
    wanted = {}
    for base in bases:
        for msr in range(base, base + 0x2000):
            for column in (0, 1):
                name, byte, bit = msr_place(target, msr, column == 1)
                assert name == image
                wanted[byte * 8 + bit] = (column, msr)
    assert consulted(image) == sum(1 << place for place in wanted)
    for position in range(SIZES[image] * 8):
        assert holder(image, position) == wanted.get(position)


@pytest.mark.parametrize("target", ["vmx", "svm"])
def test_every_port_bit_is_in_the_strips_and_nothing_else(target) -> None:
    image, count = PORTS[target]
    wanted = {}
    for port in range(count):
        name, byte, bit = port_place(target, port)
        assert name == image
        wanted[byte * 8 + bit] = (2, port)
    assert consulted(image) == sum(1 << place for place in wanted)
    for position in range(SIZES[image] * 8):
        assert holder(image, position) == wanted.get(position)
    data = random.Random(target).randbytes(SIZES[image])
    bits = port_bits(image, int.from_bytes(data, "little"))
    for port in range(count):
        _, byte, bit = port_place(target, port)
        assert bits >> port & 1 == data[byte] >> bit & 1
    assert bits < 1 << count


def test_slices_of_strips_do_not_overlap() -> None:
    for image, size in SIZES.items():
        hits = [0] * (size * 8)
        for strip in strips(image):
            assert len(range(size * 8)[strip.slice()]) == strip.last - strip.first + 1
            for position in range(size * 8)[strip.slice()]:
                hits[position] += 1
        assert max(hits) == 1


def test_a_row_is_a_number_with_the_first_bit_lowest() -> None:
    assert number(row([(4, 4, True), (5, 7, False), (8, 9, True)])) == 0b110001
    assert positions(0b110001) == [0, 4, 5]
    assert positions(0) == []


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("past_exits", [True, False])
def test_a_start_port_exits_where_any_touched_bit_is_set(width, past_exits) -> None:
    rng = random.Random(width)
    ports = {rng.randrange(0x10003) for _ in range(200)} | {0xFFFE, 0x8000, 0x10001}
    found = exits(sum(1 << port for port in ports), width, past_exits)
    for start in range(0x10000):
        past = past_exits and start + width > 0x10000
        assert bool(found >> start & 1) == (past or any(port in ports for port in range(start, start + width)))
    assert found < 1 << 0x10000


@pytest.mark.parametrize("width", [1, 2, 4])
def test_every_start_port_is_among_those_that_find_what_it_finds(width) -> None:
    rng = random.Random(width)
    ports = {rng.randrange(0x10003) for _ in range(300)} | {0, 0xFFFC, 0xFFFE, 0x8000, 0x10001}
    ports |= set(range(0x4000, 0x4100))
    found = meetings(sum(1 << port for port in ports), width)
    assert all(len(bits) == width or starts >> 0x10000 - width + 1 for bits, starts in found.items())
    for start in range(0x10000):
        bits = tuple(port in ports for port in range(start, min(start + width, 0x10000)))
        assert [each for each, starts in found.items() if starts >> start & 1] == [bits]
    assert all(0 < starts < 1 << 0x10000 for starts in found.values())
