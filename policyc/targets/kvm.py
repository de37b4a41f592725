"""Target kvm: the filter for KVM_X86_SET_MSR_FILTER. Documentation/virt/kvm/api.rst 4.97, arch/x86/kvm/x86.c.

KVM's polarity is the reverse of the hardware's: a set bit lets the access through. KVM has no port policy; every port
access that no in-kernel device claims exits to user space.
"""

from __future__ import annotations

from typing import Any

from policyc.architecture.kvm import (
    BITMAP_ALIGN,
    KVM_CAP_X86_USER_SPACE_MSR,
    KVM_MSR_EXIT_REASON_FILTER,
    KVM_MSR_FILTER_DEFAULT_ALLOW,
    KVM_MSR_FILTER_DEFAULT_DENY,
    KVM_MSR_FILTER_MAX_RANGES,
    KVM_MSR_FILTER_READ,
    KVM_MSR_FILTER_WRITE,
    KVM_X86_SET_MSR_FILTER,
    X2APIC_FIRST,
    X2APIC_LAST,
)
from policyc.semantics.policy import DecisionMap, Policy
from policyc.targets.base import Image, Setting, Target
from policyc.targets.packing import Packing, Range, pack
from policyc.targets.traps import bitmap, trapping
from policyc.targets.windows import listed
from policyc.vocabulary.access import MSR_LAST, MSR_READ, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import Intervals, contains, subtract, union

X2APIC: Intervals = ((X2APIC_FIRST, X2APIC_LAST),)
ACCESS = {KVM_MSR_FILTER_READ: "read", KVM_MSR_FILTER_WRITE: "write", 3: "read, write"}
SHOWN = 16
"""Intervals that a range of the JSON file lists in words; its bitmap holds them all."""

_ABOUT = (
    "MSR filter of KVM_X86_SET_MSR_FILTER: the first range that holds the MSR and serves the access decides; "
    "a set bit (from the lowest bit of the first byte) allows, a clear bit denies; base + bit is the MSR"
)


class Kvm:
    """Image: kvm_filter.json, UTF-8, in KVM polarity: at most 16 ranges, as few as can be."""

    name = "kvm"
    msr_windows: Intervals = ((0, MSR_LAST),)
    always_exits_past_last_port = True
    io_bitmap = False

    def problems(self, policy: Policy, maps: tuple[DecisionMap, ...]) -> tuple[Diagnostic, ...]:
        from policyc.targets.kvm_limits import problems

        return problems(policy, maps)

    def images(self, policy: Policy, decisions: DecisionMap) -> tuple[Image, ...]:
        import json

        read, write = denied(policy, decisions)
        deny = default_denies(read)
        packing = packed(read, write, KVM_MSR_FILTER_MAX_RANGES)
        if packing.stopped is not None:
            raise ValueError("the filter does not fit; problems() says so")
        filter_ = {
            "format_version": 1,
            "about": _ABOUT,
            "default": "deny" if deny else "allow",
            "flags": KVM_MSR_FILTER_DEFAULT_DENY if deny else KVM_MSR_FILTER_DEFAULT_ALLOW,
            "ranges": [range_fields(each, deny) for each in packing.ranges],
        }
        return (Image("kvm_filter.json", (json.dumps(filter_, indent=2) + "\n").encode()),)

    def settings(self) -> tuple[Setting, ...]:
        reason = f"KVM_MSR_EXIT_REASON_FILTER ({KVM_MSR_EXIT_REASON_FILTER})"
        return (
            Setting(
                f"KVM_ENABLE_CAP KVM_CAP_X86_USER_SPACE_MSR ({KVM_CAP_X86_USER_SPACE_MSR})",
                f"args[0] holds {reason}, enabled before the filter is set: else a denied access is #GP in the guest",
            ),
            Setting(
                f"KVM_X86_SET_MSR_FILTER (0x{KVM_X86_SET_MSR_FILTER:x})",
                f"kvm_filter.json: flags and ranges in the order given, each bitmap padded to {BITMAP_ALIGN} bytes; "
                "set once for the VM, and not replaced by the VMM",
            ),
            Setting(
                "KVM_EXIT_IO",
                "every port exits; the VMM carries out the policy's ports before its own devices see them",
            ),
        )


def denied(policy: Policy, decisions: DecisionMap) -> tuple[Intervals, Intervals]:
    """The MSRs whose read and whose write must exit, without the x2APIC ones, which KVM never filters."""
    traps = trapping(policy, decisions)
    read, write = traps[MSR_READ], traps[MSR_WRITE]
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
        return Packing((Range(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, 0, 0, ((0, 0),)),), None)
    return packing


def range_fields(each: Range, deny: bool) -> dict[str, Any]:
    """One range as the JSON file has it."""
    count = each.hi - each.lo + 1
    allowed = subtract(((each.lo, each.hi),), each.denied)
    exceptions = allowed if deny else each.denied
    return {
        "access": ACCESS[each.flags],
        "msrs": listed(((each.lo, each.hi),)),
        "allows" if deny else "denies": listed(exceptions, SHOWN) if exceptions else "nothing",
        "flags": each.flags,
        "base": each.lo,
        "nmsrs": count,
        "bitmap": bitmap(allowed, each.lo, -(-count // (8 * BITMAP_ALIGN)) * 8 * BITMAP_ALIGN).hex(),
    }


TARGET: Target = Kvm()
