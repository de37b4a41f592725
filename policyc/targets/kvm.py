"""Target kvm: the filter for KVM_X86_SET_MSR_FILTER. Documentation/virt/kvm/api.rst 4.97, arch/x86/kvm/x86.c.

KVM's polarity is the reverse of the hardware's: a set bit lets the access through. KVM has no port policy; every port
access that no in-kernel device claims exits to user space.
"""

from __future__ import annotations

from policyc.architecture.kvm import (
    BITMAP_ALIGN,
    KVM_CAP_X86_USER_SPACE_MSR,
    KVM_MSR_EXIT_REASON_FILTER,
    KVM_MSR_FILTER_DEFAULT_ALLOW,
    KVM_MSR_FILTER_DEFAULT_DENY,
    KVM_MSR_FILTER_MAX_RANGES,
    KVM_X86_SET_MSR_FILTER,
)
from policyc.semantics.policy import DecisionMap, Policy
from policyc.targets import kvm_limits
from policyc.targets.base import Image, Setting, Target
from policyc.targets.kvm_filter import default_denies, denied, packed, range_fields
from policyc.targets.traps import Traps
from policyc.vocabulary.access import MSR_LAST
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import Intervals

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
        return kvm_limits.problems(policy, maps)

    def images(self, traps: Traps) -> tuple[Image, ...]:
        import json

        read, write = denied(traps.read, traps.write)
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


TARGET: Target = Kvm()
