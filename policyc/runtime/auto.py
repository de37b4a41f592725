"""``--auto PATTERN=PROFILE``: another profile after the first access that a pattern describes."""

from __future__ import annotations

import re
from typing import NamedTuple

from policyc.bundle.read import Bundle
from policyc.runtime.decisions import variant_number
from policyc.semantics.addresses import Names
from policyc.vocabulary.access import MSR_LAST, PORT_LAST, Access
from policyc.vocabulary.intervals import EMPTY, Intervals, intersect

_PATTERN = re.compile(
    r"(rdmsr|wrmsr|in|out)[ :]+([A-Za-z0-9_]+)(?:\.\.([A-Za-z0-9_]+))?(?:[ :]+value[ :]+([A-Za-z0-9_]+))?", re.ASCII
)


class Auto(NamedTuple):
    """text: as written. ranges: MSRs or ports; a wide access counts where it touches one. value: None for any.

    The access itself is still decided by the old profile; the next one by the new.
    """

    text: str
    kind: str
    ranges: Intervals
    value: int | None
    profile: str

    def matches(self, access: Access) -> bool:
        if access.kind != self.kind or (self.value is not None and access.value != self.value):
            return False
        last = access.address + (access.width - 1 if access.kind in ("in", "out") else 0)
        return intersect(self.ranges, ((access.address, last),)) != EMPTY

    def check(self, bundle: Bundle, vcpu: int) -> None:
        """Raises UnreadableError for a profile that the bundle does not have."""
        variant_number(bundle, self.profile, vcpu)


def read_auto(text: str, names: Names) -> Auto:
    """``wrmsr IA32_EFER=run``, ``out:0x80=run``, ``out 0x3f8..0x3ff value 0x41=run``. ValueError says what is wrong."""
    pattern, equals, profile = text.rpartition("=")
    match = _PATTERN.fullmatch(pattern.strip())
    if not equals or match is None or not profile.strip():
        raise ValueError("a pattern and a profile, such as `wrmsr IA32_EFER=run` or `out 0x80 value 0x42=run`")
    kind, first, last, value = match.groups()
    ranges = _addresses(kind, first, names)
    if last is not None:
        lo, hi = ranges[0][0], _addresses(kind, last, names)[-1][1]
        if hi < lo:
            raise ValueError(f"the range {first}..{last} is empty")
        ranges = ((lo, hi),)
    return Auto(pattern.strip(), kind, ranges, None if value is None else _number(value), profile.strip())


def _addresses(kind: str, word: str, names: Names) -> Intervals:
    """A number or a name of the database, which may stand for several."""
    port = kind in ("in", "out")
    if not word[0].isdigit():
        found = names.port(word) if port else names.msr(word)
        if found is None:
            raise ValueError(f"no {'port' if port else 'MSR'} is named {word}")
        return found
    number = _number(word)
    if number > (PORT_LAST if port else MSR_LAST):
        raise ValueError(f"{word} is no {'port' if port else 'MSR'}")
    return ((number, number),)


def _number(word: str) -> int:
    try:
        return int(word, 0)
    except ValueError:
        raise ValueError(f"{word} is not a number") from None
