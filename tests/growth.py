"""Costs that a test can set a limit to and a busy machine cannot break.

Another process that takes the processor, or the caches, only ever makes work look dearer. So work is tried several
times and its cheapest try counts; the tries end as soon as one meets the limit, which is the usual case. CPU time, not
the clock on the wall; without the garbage collector, whose runs depend on what tests before left alive.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

TRIES = 6
UNIT = 0.008
"""CPU seconds of `_fixed` on the machine that the limits of the tests were written for."""


def seconds(work: Callable[[], object], limit: float) -> float:
    """CPU seconds of `work` at its cheapest, less where this machine is slower than the one the limits are from."""
    least = float("inf")
    for _ in range(TRIES):
        least = min(least, _cost(work) * min(1.0, UNIT / _cost(_fixed)))
        if least < limit:
            break
    return least


def ratio(dear: Callable[[], object], cheap: Callable[[], object], limit: float) -> float:
    """How many times the CPU time of `cheap` does `dear` take? The least of several pairs, each measured at one go."""
    least = float("inf")
    for _ in range(TRIES):
        least = min(least, _cost(dear) / min(_cost(cheap), _cost(cheap)))
        if least < limit:
            break
    return least


def _cost(work: Callable[[], object]) -> float:
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        work()
        return max(time.process_time() - start, 1e-6)
    finally:
        gc.enable()


def _fixed() -> None:
    table: dict[int, tuple[int, int]] = {}
    for number in range(60_000):
        table[number * 7919 % 16384] = (number, number + 1)
    assert len(table) == 16384
