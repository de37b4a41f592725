"""Linux KVM's MSR filter. arch/x86/kvm/x86.c, Documentation/virt/kvm/api.rst section 4.97, include/uapi/linux/kvm.h."""

from __future__ import annotations

KVM_MSR_FILTER_MAX_RANGES = 16
KVM_MSR_FILTER_MAX_BITMAP_SIZE = 0x600
"""Bytes of one range's bitmap."""
MAX_NMSRS = KVM_MSR_FILTER_MAX_BITMAP_SIZE * 8
"""0x3000: MSRs that one range can hold."""

KVM_MSR_FILTER_READ, KVM_MSR_FILTER_WRITE = 1, 2
KVM_MSR_FILTER_DEFAULT_ALLOW, KVM_MSR_FILTER_DEFAULT_DENY = 0, 1
KVM_X86_SET_MSR_FILTER = 0x4188_AEC6
KVM_CAP_X86_USER_SPACE_MSR = 188
KVM_MSR_EXIT_REASON_INVAL, KVM_MSR_EXIT_REASON_UNKNOWN, KVM_MSR_EXIT_REASON_FILTER = 1, 2, 4

X2APIC_FIRST, X2APIC_LAST = 0x800, 0x8FF
"""Never filtered: "KVM silently ignores filters that cover any x2APIC MSRs" (api.rst 4.97)."""

BITMAP_ALIGN = 8
"""The kernel copies BITS_TO_LONGS(nmsrs) * 8 bytes, so every bitmap is padded to 8."""
