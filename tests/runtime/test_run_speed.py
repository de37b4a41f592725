"""A run costs at most twice the plainest loop over KVM_RUN, measured in one process, turn by turn."""

from __future__ import annotations

from bench.run import GUESTS, measure
from tests.runtime.running import available


def test_every_way_of_an_exit_is_within_twice_the_plain_loop() -> None:
    available("kvm")
    rows = measure(3000, 3)
    assert {row.guest for row in rows} == set(GUESTS)
    slow = [f"{row.guest}, {row.way}: {row.ratio:.2f}" for row in rows if row.ratio > 2]
    assert slow == []
