"""kvm_filter.json read as Linux reads it: what it refuses, and which MSR accesses the filter then denies.

Nothing here is shared with the target that writes the file. arch/x86/kvm/x86.c (newer trees: msrs.c):
kvm_vm_ioctl_set_msr_filter, kvm_add_msr_filter, kvm_msr_allowed.
"""

from __future__ import annotations

import re

from policyc.architecture.kvm import (
    KVM_MSR_FILTER_DEFAULT_DENY,
    KVM_MSR_FILTER_MAX_BITMAP_SIZE,
    KVM_MSR_FILTER_MAX_RANGES,
    KVM_MSR_FILTER_READ,
    KVM_MSR_FILTER_WRITE,
    X2APIC_FIRST,
    X2APIC_LAST,
)
from policyc.vocabulary.access import MSR_LAST
from policyc.vocabulary.intervals import Intervals, intersect, normal, subtract, union
from policyc.vocabulary.typed import NamedTuple

_U32 = 1 << 32
_EVERY: Intervals = ((0, MSR_LAST),)
_X2APIC: Intervals = ((X2APIC_FIRST, X2APIC_LAST),)
_VALID = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE


class FilterError(ValueError):
    """The file is not a filter, or the kernel would refuse it; the message says why."""


class Range(NamedTuple):
    """struct kvm_msr_filter_range. flags: 1 read, 2 write. bits: the bitmap as one number, bit 0 first; 1 = allow."""

    flags: int
    base: int
    nmsrs: int
    bits: int


class Filter(NamedTuple):
    """struct kvm_msr_filter as handed over; the kernel drops ranges without an MSR, which would match nothing."""

    deny: bool
    ranges: tuple[Range, ...]


class Place(NamedTuple):
    """Where a filter decides an MSR: which range of the file, which byte and bit of its bitmap."""

    range: int
    byte: int
    bit: int
    value: int


def read(data: bytes) -> Filter:
    """The filter that the kernel holds after KVM_X86_SET_MSR_FILTER of this file. Raises FilterError."""
    import json

    try:
        content = json.loads(data)
        flags, entries = content["flags"], content["ranges"]
        version = content["format_version"]
        ranges = tuple(_range(number, entry) for number, entry in enumerate(entries))
    except FilterError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise FilterError(f"not a filter: {error}") from None
    if version != 1:
        raise FilterError(f"format_version {version!r} is not 1")
    if type(flags) is not int or flags & ~KVM_MSR_FILTER_DEFAULT_DENY:
        raise FilterError(f"flags {flags!r} are not 0 or 1")
    if len(ranges) > KVM_MSR_FILTER_MAX_RANGES:
        raise FilterError(f"{len(ranges)} ranges, KVM takes {KVM_MSR_FILTER_MAX_RANGES}")
    if flags and not any(each.nmsrs for each in ranges):
        raise FilterError("KVM refuses a filter that denies by default and has no range")
    return Filter(bool(flags), ranges)


def _range(number: int, entry: dict[str, object]) -> Range:
    flags, base, nmsrs, text = entry["flags"], entry["base"], entry["nmsrs"], entry["bitmap"]
    if type(flags) is not int or type(base) is not int or type(nmsrs) is not int or type(text) is not str:
        raise FilterError(f"range {number} has a member of the wrong type")
    if not (0 <= flags < _U32 and 0 <= base < _U32 and 0 <= nmsrs < _U32):
        raise FilterError(f"range {number} has a number outside 32 bits")
    if nmsrs and (not flags or flags & ~_VALID):
        raise FilterError(f"range {number} has flags {flags}, not 1, 2 or 3")
    size = (nmsrs + 63) // 64 * 8  # BITS_TO_LONGS(nmsrs) * sizeof(long)
    if size > KVM_MSR_FILTER_MAX_BITMAP_SIZE:
        raise FilterError(f"range {number} has {nmsrs} MSRs, more than a bitmap holds")
    bitmap = bytes.fromhex(text)
    if len(bitmap) != size:
        raise FilterError(f"range {number} has a bitmap of {len(bitmap)} bytes, the kernel copies {size}")
    return Range(flags, base, nmsrs, int.from_bytes(bitmap, "little"))


def allowed(subject: Filter, msr: int, write: bool) -> bool:
    """kvm_msr_allowed for one access."""
    if X2APIC_FIRST <= msr <= X2APIC_LAST:
        return True
    found = place(subject, msr, write)
    return not subject.deny if found is None else bool(found.value)


def place(subject: Filter, msr: int, write: bool) -> Place | None:
    """The bit that decides one access: the first range in file order that holds it; None where the default does.

    The end is a u32, so a range that ends at 2^32 ends at 0 and holds nothing. x2APIC MSRs are never looked up, but
    that is the caller's to say (allowed).
    """
    kind = KVM_MSR_FILTER_WRITE if write else KVM_MSR_FILTER_READ
    for number, each in enumerate(subject.ranges):
        if each.base <= msr < (each.base + each.nmsrs) % _U32 and each.flags & kind:
            index = msr - each.base
            return Place(number, index // 8, index % 8, each.bits >> index & 1)
    return None


def denied(subject: Filter, write: bool) -> Intervals:
    """Every MSR that a read (or a write) is denied, over all 2^32: the same walk, a range at a time."""
    kind = KVM_MSR_FILTER_WRITE if write else KVM_MSR_FILTER_READ
    undecided, out = _EVERY, []
    for each in subject.ranges:
        end = (each.base + each.nmsrs) % _U32
        if not each.flags & kind or end <= each.base:
            continue
        mine: Intervals = ((each.base, end - 1),)
        out.append(subtract(intersect(undecided, mine), _ones(each)))
        undecided = subtract(undecided, mine)
    if subject.deny:
        out.append(undecided)
    return subtract(union(*out), _X2APIC)


def _ones(subject: Range) -> Intervals:
    """The MSRs whose bit is 1; bits from nmsrs on are never looked at."""
    text = f"{subject.bits:b}"[::-1][: subject.nmsrs]
    return normal((subject.base + match.start(), subject.base + match.end() - 1) for match in re.finditer("1+", text))
