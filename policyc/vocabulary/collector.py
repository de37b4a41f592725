"""Python's cycle collector, held off while a policy is built.

A large policy is millions of small values, none of them in a cycle. The collector would walk through all that have
been made so far again and again: at 100,000 lines that takes as long as all the work.
"""

from __future__ import annotations

import gc
from functools import wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Work = TypeVar("Work", bound=Callable[..., object])


def held_off(work: Work) -> Work:
    """work, without the collector. What it leaves is then old for the collector: a walk through it is not due soon."""

    @wraps(work)
    def quietly(*args: object, **kwargs: object) -> object:
        if not gc.isenabled():
            return work(*args, **kwargs)
        gc.disable()
        try:
            return work(*args, **kwargs)
        finally:
            if not gc.get_freeze_count():  # Somebody else's frozen values are not ours to thaw.
                gc.freeze()
                gc.unfreeze()
            gc.enable()

    return quietly  # type: ignore[return-value]
