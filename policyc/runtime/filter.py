"""kvm_filter.json of a bundle, as its reader must take it: checked, and in the form the kernel reads."""

from __future__ import annotations

from typing import Any, NamedTuple

from policyc.architecture.kvm import BITMAP_ALIGN, KVM_MSR_FILTER_MAX_RANGES, MAX_NMSRS, X2APIC_FIRST, X2APIC_LAST
from policyc.vocabulary.diagnostic import UnreadableError

IMAGE = "kvm_filter.json"


class Range(NamedTuple):
    """MSRs base .. base + nmsrs - 1 for accesses in flags (1 read, 2 write). bitmap: a set bit allows; padded to 8."""

    flags: int
    base: int
    nmsrs: int
    bitmap: bytes


class Filter(NamedTuple):
    """denies: the default."""

    denies: bool
    ranges: tuple[Range, ...]

    def exits(self, index: int, write: bool) -> bool:
        """Whether KVM, as its kvm_msr_allowed() goes, lets an access exit."""
        if X2APIC_FIRST <= index <= X2APIC_LAST:
            return False
        way = 2 if write else 1
        for each in self.ranges:
            place = index - each.base
            if each.flags & way and 0 <= place < each.nmsrs and each.base + each.nmsrs <= 0xFFFF_FFFF:
                return not each.bitmap[place >> 3] >> (place & 7) & 1
        return self.denies


def read_filter(data: bytes) -> Filter:
    """The filter of an image. Raises UnreadableError for one that KVM would refuse, or take otherwise than it looks."""
    import json

    try:
        document = json.loads(data)
        ranges = tuple(_range(each) for each in document["ranges"])
        flags = document["flags"]
    except (ValueError, KeyError, TypeError, RecursionError) as reason:
        raise UnreadableError(f"{IMAGE} is not what policyc writes: {type(reason).__name__}") from None
    if type(flags) is not int or flags not in (0, 1) or len(ranges) > KVM_MSR_FILTER_MAX_RANGES:
        raise UnreadableError(f"{IMAGE}: flags are 0 or 1, and ranges at most {KVM_MSR_FILTER_MAX_RANGES}")
    return Filter(flags == 1, ranges)


def _range(fields: dict[str, Any]) -> Range:
    flags, base, nmsrs = fields["flags"], fields["base"], fields["nmsrs"]
    if not all(type(each) is int for each in (flags, base, nmsrs)):
        raise TypeError
    if not (1 <= flags <= 3 and base >= 0 and 1 <= nmsrs <= MAX_NMSRS and base + nmsrs <= 0xFFFF_FFFF):
        raise ValueError
    bitmap = bytes.fromhex(fields["bitmap"])
    if len(bitmap) < -(-nmsrs // 8) or len(bitmap) > MAX_NMSRS // 8:
        raise ValueError
    return Range(flags, base, nmsrs, bitmap + bytes(-len(bitmap) % BITMAP_ALIGN))
