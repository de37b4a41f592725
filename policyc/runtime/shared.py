"""The files that `policyc exec` and the library in the VMM share. runtime/preload/shared.h has the same numbers.

One holds counters, what is told, and what policyc orders; one for each policy, beside it, the filter and the bits of all
ports. They are mappings and no pipes, so nothing is lost with a VMM that closes descriptors or is killed.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from policyc.architecture.kvm import KVM_MSR_FILTER_MAX_BITMAP_SIZE, KVM_MSR_FILTER_MAX_RANGES
from policyc.runtime.auto import Auto
from policyc.runtime.filter import Filter

TELL_ALL, SWITCHES = 1, 2
ASKS_CPL = 1
EXIT, LOG, TRACE, KILL = 1, 2, 3, 4
TRY, DO = 1, 2
"""What is ordered: say whether a policy could be put in force; put it in force."""
NO_FAULT = 0xFF
KINDS = ("rdmsr", "wrmsr", "in", "out")
MOST_RULES = 1 << 24
"""Numbers of rules in one run, of all its policies together."""
MOST_AUTOS = 16

_MAGIC = 0x3263_6578_6379_6C70
_HEAD = struct.Struct("<QII")
_POLICY = struct.Struct("<Q8I1024s")
_NUMBERS = (
    *("in_force", "order", "request", "machines", "refused", "exits", "let_through", "other", "unlisted", "lost"),
    *("killed", "read", "written"),
)
_NUMBERS_AT, _ORDER_BELL_AT, _BELL_AT, _ARMED_AT = 16, 120, 124, 128
_PROCESSES_AT, _AUTOS_AT, _COUNTERS_AT, _RECORDS_AT = 256, 8448, 17152, 1_065_728
_PROCESS = struct.Struct("<QQ112s")
_PROCESSES = 64
_AUTO_HEAD = struct.Struct("<IIIIIIQ")
_AUTO_RANGES = 64
_AUTO_SIZE = _AUTO_HEAD.size + 8 * _AUTO_RANGES
_RANGE = struct.Struct(f"<IIII{KVM_MSR_FILTER_MAX_BITMAP_SIZE}s")
_RECORD = struct.Struct("<QQQQIIIHBBBBBB12x")
_RECORDS = 4096
SIZE = _RECORDS_AT + _RECORDS * _RECORD.size
_SYS_FUTEX, _FUTEX_WAIT, _FUTEX_WAKE, _ALL = 202, 0, 1, 0x7FFF_FFFF


class PolicyFile(NamedTuple):
    """One policy as the library takes it. library: path of its exit handler; profile: which of those in it.

    rule_base, rule_count: numbers set aside for its rules in reports. traps: a bit for each port, by class of vCPUs.
    """

    library: str
    profile: int
    asks_cpl: bool
    filter: Filter
    rule_base: int
    rule_count: int
    traps: Sequence[bytes]

    def data(self) -> bytes:
        denies, used = int(self.filter.denies), len(self.filter.ranges)
        flags = ASKS_CPL * self.asks_cpl
        words = (flags, denies, used, self.profile, self.rule_base, self.rule_count, len(self.traps), 0)
        head = _POLICY.pack(_MAGIC, *words, os.fsencode(self.library))
        ranges = b"".join(_RANGE.pack(each.flags, each.base, each.nmsrs, 0, each.bitmap) for each in self.filter.ranges)
        return head + ranges.ljust(KVM_MSR_FILTER_MAX_RANGES * _RANGE.size, b"\0") + b"".join(self.traps)


class Process(NamedTuple):
    """A process that has machines. answer: to the request of that number; None: none yet. why: of a no."""

    place: int
    pid: int
    request: int
    yes: bool
    why: str


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
    """Made in a folder; the library finds it by ``path``. autos: what the library is to wait for."""

    def __init__(self, folder: str, flags: int, autos: Sequence[Auto] = ()) -> None:
        self.path = os.path.join(folder, "shared")
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(handle, SIZE)
            self._map = mmap.mmap(handle, SIZE)
        finally:
            os.close(handle)
        self._words = memoryview(self._map).cast("Q")
        self._bells = {at: ctypes.c_uint32.from_buffer(self._map, at) for at in (_ORDER_BELL_AT, _BELL_AT)}
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.syscall.restype = ctypes.c_long
        _HEAD.pack_into(self._map, 0, _MAGIC, flags, len(autos))
        for number, each in enumerate(autos):
            self._put_auto(_AUTOS_AT + number * _AUTO_SIZE, each)
        self._autos = len(autos)
        self._words[_ARMED_AT // 8] = len(autos)
        self._read = 0

    def _put_auto(self, at: int, auto: Auto) -> None:
        kind, used = KINDS.index(auto.kind), len(auto.ranges)
        _AUTO_HEAD.pack_into(self._map, at, 0, 0, kind, used, int(auto.value is not None), 0, auto.value or 0)
        for number, (lo, hi) in enumerate(auto.ranges):
            struct.pack_into("<II", self._map, at + _AUTO_HEAD.size + 8 * number, lo, hi)

    def close(self) -> None:
        self._words.release()
        self._bells.clear()
        self._map.close()

    def number(self, name: str) -> int:
        """One of _NUMBERS: counts, and what was ordered last."""
        return self._words[self._at(name)]

    def _at(self, name: str) -> int:
        place = _NUMBERS.index(name)
        return _NUMBERS_AT // 8 + place

    # Policies.

    def put_policy(self, number: int, policy: PolicyFile) -> None:
        """The file of a policy, whole before anybody is told its number."""
        with open(f"{self.path}.{number}", "xb") as stream:
            stream.write(policy.data())

    def begin_with(self, number: int) -> None:
        """What a process takes that has its first machine from now on."""
        self._words[self._at("in_force")] = number

    def order(self, what: int, number: int) -> int:
        """TRY or DO a policy, in all processes; the number of the request, which their answers bear."""
        request = self.number("request") + 1
        self._words[self._at("order")] = what | number << 8
        self._words[self._at("request")] = request
        bell = self._bells[_ORDER_BELL_AT]
        bell.value += 1
        self._libc.syscall(_SYS_FUTEX, ctypes.byref(bell), _FUTEX_WAKE, _ALL, None, None, 0)
        return request

    def processes(self) -> Iterator[Process]:
        """Those that have, or had, a machine, and have not been taken off."""
        for place in range(_PROCESSES):
            pid, answer, why = _PROCESS.unpack_from(self._map, _PROCESSES_AT + place * _PROCESS.size)
            if pid:
                text = why.split(b"\0")[0].decode("ascii", "replace")
                yield Process(place, pid, answer >> 1, answer & 1 == 1, text)

    def take_off(self, process: Process) -> None:
        """Its place is free for another process."""
        self._words[(_PROCESSES_AT + process.place * _PROCESS.size) // 8] = 0

    def fired(self) -> Iterator[int]:
        """Autos whose access has come, and whose vCPU waits."""
        for number in range(self._autos):
            fired, done = struct.unpack_from("<II", self._map, _AUTOS_AT + number * _AUTO_SIZE)
            if fired and not done:
                yield number

    def go_on(self, number: int) -> None:
        """The vCPU that an auto holds up may run again."""
        struct.pack_into("<I", self._map, _AUTOS_AT + number * _AUTO_SIZE + 4, 1)

    def bell(self) -> int:
        return self._bells[_BELL_AT].value

    def wait(self, bell: int, seconds: float) -> None:
        """Until the library rings after the bell was looked at, or the time is over."""
        whole = int(seconds)
        until = (ctypes.c_int64 * 2)(whole, int((seconds - whole) * 1e9))
        at = ctypes.byref(self._bells[_BELL_AT])
        self._libc.syscall(_SYS_FUTEX, at, _FUTEX_WAIT, ctypes.c_uint32(bell), ctypes.byref(until), None, 0)

    # What is told.

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
            words[self._at("read")] = self._read
            if found is not None:
                yield _record(*found[1:])

    def counts(self) -> Iterator[Count]:
        words = self._words
        keys = words[_COUNTERS_AT // 8 : _RECORDS_AT // 8 : 2].tolist()
        for place, key in enumerate(keys):
            if key:
                kind = KINDS[key >> 60 & 3]
                traps, width, rule = key >> 62 & 1 == 1, key >> 56 & 15, key >> 32 & 0xFF_FFFF
                yield Count(kind, key & 0xFFFF_FFFF, width, rule, traps, words[_COUNTERS_AT // 8 + 2 * place + 1])


def _record(
    nanoseconds: int, value: int, answer: int, address: int, rule: int, suppressed: int, vcpu: int,
    what: int, kind: int, width: int, action: int, fault: int, traps: int,
) -> Record:  # fmt: skip
    fault_ = None if fault == NO_FAULT else fault
    return Record(
        what, nanoseconds / 1e9, KINDS[kind & 3], address, width, value, answer, rule, action, fault_, traps != 0, vcpu,
        suppressed,
    )  # fmt: skip
