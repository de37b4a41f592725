"""The packing of KVM's ranges says what it must, in the fewest ranges there can be."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policyc.targets.packing import Packing, pack
from policyc.vocabulary.intervals import contains, normal
from tests.growth import seconds

POINTS, WIDEST = 6, 3
LAST = 0xFFFFFFFF


def decided(packing: Packing, deny: bool, msr: int, direction: int) -> bool:
    """First match decides, in array order; whether denied."""
    for flags, lo, hi, denied in packing.ranges:
        if lo <= msr <= hi and flags & direction:
            return contains(denied, msr)
    return deny


def exactly(*members: int):
    return normal((each, each) for each in members)


def abilities() -> dict[int, list[int]]:
    """By number of ranges 0..3: what lists of so many ranges can express, whatever their bitmaps and their order.

    One ability is a mask: bit 4 * point + k says that at this point exceptions of directions k (1 read, 2 write) can be
    had. A read and a write decided by one range share its bit; all else is free.
    """
    spans = [(lo, hi) for lo in range(POINTS) for hi in range(lo, min(lo + WIDEST, POINTS))]
    kinds = [(flags, lo, hi) for lo, hi in spans for flags in (1, 2, 3)]
    out: dict[int, list[int]] = {}
    for count in range(4):
        masks = set()
        for some in itertools.combinations(kinds, count):
            for order in itertools.permutations(some):
                mask = 0
                for point in range(POINTS):
                    firsts = [
                        next((n for n, (flags, lo, hi) in enumerate(order) if lo <= point <= hi and flags & way), None)
                        for way in (1, 2)
                    ]
                    read, write = (each is not None for each in firsts)
                    can = {0} | ({3} if read and write else set())
                    if firsts[0] != firsts[1]:
                        can |= ({1} if read else set()) | ({2} if write else set())
                    mask |= sum(1 << 4 * point + k for k in can)
                masks.add(mask)
        out[count] = (
            [each for each in masks if not any(each != other and each & ~other == 0 for other in masks)]
            if count < 3
            else list(masks)
        )
    return out


def test_no_list_of_fewer_ranges_says_the_same_over_all_policies_of_a_small_universe() -> None:
    able = abilities()
    for pattern in itertools.product(range(4), repeat=POINTS):
        wanted = sum(1 << 4 * point + k for point, k in enumerate(pattern))
        # Two read and two write ranges of three points cover all six: four always suffice.
        fewest = next((count for count in range(4) if any(wanted & ~each == 0 for each in able[count])), 4)
        read = exactly(*(point for point, k in enumerate(pattern) if k & 1))
        write = exactly(*(point for point, k in enumerate(pattern) if k & 2))
        packing = pack(read, write, False, 16, WIDEST)
        assert packing.stopped is None
        assert len(packing.ranges) == fewest, pattern
        for point, k in enumerate(pattern):
            assert decided(packing, False, point, 1) is bool(k & 1), pattern
            assert decided(packing, False, point, 2) is bool(k & 2), pattern


SETS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=6).map(
    lambda some: normal((lo, lo + more) for lo, more in some)
)


@settings(deadline=None, max_examples=300)
@given(SETS, SETS, st.booleans(), st.integers(1, 9))
def test_every_msr_has_its_verdict_under_both_defaults(read, write, deny, widest) -> None:
    if deny:
        read, write = (normal([*each, (40, LAST)]) for each in (read, write))
    packing = pack(read, write, deny, 1000, widest)
    assert packing.stopped is None
    assert all(hi - lo < widest for _, lo, hi, _ in packing.ranges)
    for msr in (*range(90), 0x7FFFFFFF, LAST - 1, LAST):
        assert decided(packing, deny, msr, 1) is contains(read, msr)
        assert decided(packing, deny, msr, 2) is contains(write, msr)


@settings(deadline=None, max_examples=200)
@given(SETS, SETS, st.integers(1, 9))
def test_a_limit_of_the_count_is_enough_and_one_less_is_not(read, write, widest) -> None:
    count = len(pack(read, write, False, 1000, widest).ranges)
    assert pack(read, write, False, count, widest).stopped is None
    if count:
        short = pack(read, write, False, count - 1, widest)
        assert short.stopped is not None
        assert contains(read, short.stopped) or contains(write, short.stopped)
        assert len(short.ranges) <= count - 1


def test_spans_end_at_the_exceptions_they_serve() -> None:
    packing = pack(exactly(0x10, 0x2FFF, 0x3010), exactly(0x10, 0x2FFF), False, 16)
    assert [(each.flags, each.lo, each.hi) for each in packing.ranges] == [(1, 0x3010, 0x3010), (3, 0x10, 0x2FFF)]


def test_a_one_way_range_that_restores_the_default_saves_a_range() -> None:
    # The write at 0x2fff is served by the range for both, and the read range before it keeps the read allowed.
    packing = pack(exactly(0, 0x3000), exactly(0x2FFF, 0x3000), False, 16)
    assert [each[:3] for each in packing.ranges] == [(1, 0, 0x2FFF), (3, 0x2FFF, 0x3000)]
    assert [decided(packing, False, 0x2FFF, way) for way in (1, 2)] == [False, True]


def test_the_last_msr_is_beyond_every_range() -> None:
    with pytest.raises(ValueError, match="0xffffffff"):
        pack(exactly(LAST), (), False, 16)
    (only,) = pack(exactly(LAST - 1), exactly(LAST - 1), False, 16).ranges
    assert (only.lo, only.hi) == (LAST - 1, LAST - 1)


def test_a_whole_space_stops_at_once_and_not_after_350000_ranges() -> None:
    def whole() -> None:
        assert pack(((0, LAST - 1),), (), False, 16).stopped == 16 * 0x3000

    assert seconds(whole, 0.1) < 0.1


def test_dense_alternation_over_all_sixteen_ranges_is_fast() -> None:
    blocks = [n * 0x1000000 for n in range(8)]
    read = exactly(*(base + each for base in blocks for each in range(0, 0x1000, 3)))
    write = exactly(*(base + each for base in blocks for each in range(1, 0x1000, 2)))
    assert len(pack(read, write, False, 16).ranges) == 16
    assert seconds(lambda: pack(read, write, False, 16), 1) < 1
