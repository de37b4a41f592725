"""The file that `policyc exec` and the library in the VMM share. runtime/preload/shared.h has the same numbers.

The filter and the bits of all ports go in before the VMM starts; counters and records come out while it runs. It is a
mapping and no pipe, so nothing is lost with a VMM that closes descriptors or is killed.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from policyc.architecture.kvm import KVM_MSR_FILTER_MAX_BITMAP_SIZE
from policyc.runtime.filter import Filter

TELL_ALL, ASKS_CPL = 1, 2
EXIT, LOG, TRACE, KILL = 1, 2, 3, 4
NO_FAULT = 0xFF
PAST_LAST_PORT = 0xFF_FFFE
"""The rule's number for an access that runs past the last port; others count the handler's rules."""
KINDS = ("rdmsr", "wrmsr", "in", "out")

_MAGIC = 0x3163_6578_6379_6C70
_HEAD = struct.Struct("<QIIII")
_NUMBERS = ("machines", "refused", "exits", "let_through", "other", "unlisted", "lost", "killed", "read", "written")
_NUMBERS_AT, _TRAPS_AT, _RANGES_AT, _COUNTERS_AT, _RECORDS_AT = 24, 128, 8320, 33152, 1_081_728
_RANGE = struct.Struct(f"<IIII{KVM_MSR_FILTER_MAX_BITMAP_SIZE}s")
_RECORD = struct.Struct("<QQQQIIIHBBBBBB12x")
_RECORDS = 4096
SIZE = _RECORDS_AT + _RECORDS * _RECORD.size


class Record(NamedTuple):
    """One thing told. what: EXIT, LOG, TRACE or KILL. seconds: of time.monotonic. action: position in STRICTNESS."""

    what: int
    seconds: float
    kind: str
    address: int
    width: int
    value: int
    answer: int
    rule: int
    action: int
    fault: int | None
    traps: bool
    vcpu: int
    suppressed: int


class Count(NamedTuple):
    """So many exits of one kind at one address, decided by one rule. traps: False where no bit asks for them."""

    kind: str
    address: int
    width: int
    rule: int
    traps: bool
    exits: int


class Shared:
    """Made in a folder; the library finds it by ``path``."""

    def __init__(self, folder: str, filter_: Filter, traps: bytes, flags: int) -> None:
        self.path = os.path.join(folder, "shared")
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(handle, SIZE)
            self._map = mmap.mmap(handle, SIZE)
        finally:
            os.close(handle)
        self._words = memoryview(self._map).cast("Q")
        _HEAD.pack_into(self._map, 0, _MAGIC, flags, filter_.denies, len(filter_.ranges), 0)
        self._map[_TRAPS_AT : _TRAPS_AT + len(traps)] = traps
        for number, each in enumerate(filter_.ranges):
            fields = (each.flags, each.base, each.nmsrs, 0, each.bitmap)
            _RANGE.pack_into(self._map, _RANGES_AT + number * _RANGE.size, *fields)
        self._read = 0

    def close(self) -> None:
        self._words.release()
        self._map.close()

    def number(self, name: str) -> int:
        """machines, refused, exits, let_through, other, unlisted, lost, killed."""
        return self._words[_NUMBERS_AT // 8 + _NUMBERS.index(name)]

    def records(self, *, last: bool = False) -> Iterator[Record]:
        """What was told since. last: nobody writes any more, so what is not whole is passed over."""
        words = self._words
        while self._read < self.number("written"):
            at = _RECORDS_AT + self._read % _RECORDS * _RECORD.size
            whole = words[at // 8] == self._read + 1
            if not whole and not last:
                return
            found = _RECORD.unpack_from(self._map, at) if whole else None
            self._read += 1
            words[_NUMBERS_AT // 8 + _NUMBERS.index("read")] = self._read
            if found is not None:
                yield _record(*found[1:])

    def counts(self) -> Iterator[Count]:
        words = self._words
        for at in range(_COUNTERS_AT // 8, _RECORDS_AT // 8, 2):
            key = words[at]
            if key:
                kind = KINDS[key >> 60 & 3]
                traps, width, rule = key >> 62 & 1 == 1, key >> 56 & 15, key >> 32 & 0xFF_FFFF
                yield Count(kind, key & 0xFFFF_FFFF, width, rule, traps, words[at + 1])


def _record(
    nanoseconds: int, value: int, answer: int, address: int, rule: int, suppressed: int, vcpu: int,
    what: int, kind: int, width: int, action: int, fault: int, traps: int,
) -> Record:  # fmt: skip
    fault_ = None if fault == NO_FAULT else fault
    return Record(
        what, nanoseconds / 1e9, KINDS[kind & 3], address, width, value, answer, rule, action, fault_, traps != 0, vcpu,
        suppressed,
    )  # fmt: skip
