"""A run costs at most twice the plainest loop over KVM_RUN, measured in one process, turn by turn; exec next to nothing."""

from __future__ import annotations

import shutil

from bench import exec as governed
from bench.run import GUESTS, measure
from tests.demand import need
from tests.runtime.running import available


def test_every_way_of_an_exit_is_within_twice_the_plain_loop() -> None:
    available("kvm")
    rows = measure(3000, 3)
    assert {row.guest for row in rows} == set(GUESTS)
    slow = [f"{row.guest}, {row.way}: {row.ratio:.2f}" for row in rows if row.ratio > 2]
    assert slow == []


def test_a_vmm_in_c_keeps_its_speed_for_exits_that_the_policy_lets_pass() -> None:
    available("kvm")
    need("cc", shutil.which("gcc") is not None, "apt-get install gcc")
    best = governed.measure(20_000, 4)
    assert best["bare"] / best["let through"] <= 1.15
