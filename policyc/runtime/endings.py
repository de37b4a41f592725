"""How a run ends."""

from __future__ import annotations

from typing import NamedTuple

ENDED, HALTED, KILLED, CRASHED = "ended", "halted", "killed", "crashed"
TIMEOUT, MAX_EXITS, INTERRUPTED = "timeout", "max-exits", "interrupted"


class Ending(NamedTuple):
    """how: one of the words above. text: the same for people. value: what the guest wrote to an exit port."""

    how: str
    text: str
    value: int | None = None

    @property
    def clean(self) -> bool:
        """Whether the guest came to an end of its own choice."""
        return self.how in (ENDED, HALTED)


class Stop(Exception):
    """Raised on the vCPU's thread, through whatever it is doing, to end the run."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.text)
        self.ending = ending
