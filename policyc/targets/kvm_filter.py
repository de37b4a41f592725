"""What a decision map asks of KVM's MSR filter, and a range as kvm_filter.json has it.

Documentation/virt/kvm/api.rst 4.97, arch/x86/kvm/x86.c kvm_msr_allowed() and kvm_add_msr_filter().
"""

from __future__ import annotations

from policyc.architecture.kvm import BITMAP_ALIGN, KVM_MSR_FILTER_READ, KVM_MSR_FILTER_WRITE, X2APIC_FIRST, X2APIC_LAST
from policyc.targets.packing import Packing, Range, pack
from policyc.targets.traps import bitmap
from policyc.targets.windows import listed
from policyc.vocabulary.access import MSR_LAST
from policyc.vocabulary.intervals import Intervals, contains, subtract, union
from policyc.vocabulary.typed import Any

X2APIC: Intervals = ((X2APIC_FIRST, X2APIC_LAST),)
SHOWN = 16
"""Intervals that a range of the JSON file lists in words; its bitmap holds them all."""
_BOTH = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE
_ACCESS = {KVM_MSR_FILTER_READ: "read", KVM_MSR_FILTER_WRITE: "write", _BOTH: "read, write"}


def denied(read: Intervals, write: Intervals) -> tuple[Intervals, Intervals]:
    """The MSRs whose read and whose write must exit, without the x2APIC ones, which KVM never filters."""
    # Unfiltered either way, they may as well agree with the default: then no range is spent on them.
    if default_denies(read):
        return union(read, X2APIC), union(write, X2APIC)
    return subtract(read, X2APIC), subtract(write, X2APIC)


def default_denies(read: Intervals) -> bool:
    """The filter's default: what holds for MSR 0xffffffff, because no range can reach it."""
    return contains(read, MSR_LAST)


def packed(read: Intervals, write: Intervals, limit: int) -> Packing:
    """The ranges for these denied MSRs. KVM takes no default of deny without a range, so there is always one then."""
    deny = default_denies(read)
    packing = pack(read, write, deny, limit)
    if deny and not packing.ranges:
        return Packing((Range(_BOTH, 0, 0, ((0, 0),)),), None)
    return packing


def range_fields(each: Range, deny: bool) -> dict[str, Any]:
    """One range as the JSON file has it."""
    count = each.hi - each.lo + 1
    allowed = subtract(((each.lo, each.hi),), each.denied)
    exceptions = allowed if deny else each.denied
    return {
        "access": _ACCESS[each.flags],
        "msrs": listed(((each.lo, each.hi),)),
        "allows" if deny else "denies": listed(exceptions, SHOWN) if exceptions else "nothing",
        "flags": each.flags,
        "base": each.lo,
        "nmsrs": count,
        "bitmap": bitmap(allowed, each.lo, -(-count // (8 * BITMAP_ALIGN)) * 8 * BITMAP_ALIGN).hex(),
    }
