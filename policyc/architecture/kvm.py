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

# The ioctls by which a virtual machine is made and run: include/uapi/linux/kvm.h, x86-64.
KVM_GET_API_VERSION, KVM_CREATE_VM, KVM_CHECK_EXTENSION, KVM_GET_VCPU_MMAP_SIZE = 0xAE00, 0xAE01, 0xAE03, 0xAE04
KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2 = 0xC008_AE05, 0x4008_AE90
KVM_CREATE_VCPU, KVM_SET_USER_MEMORY_REGION, KVM_SET_TSS_ADDR = 0xAE41, 0x4020_AE46, 0xAE47
KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2, KVM_ENABLE_CAP = 0xAE60, 0x4040_AE77, 0x4068_AEA3
KVM_RUN, KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS = (
    0xAE80,
    0x8090_AE81,
    0x4090_AE82,
    0x8138_AE83,
    0x4138_AE84,
)
KVM_GET_MSRS, KVM_SET_MSRS = 0xC008_AE88, 0x4008_AE89
KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS = 0x8040_AE9F, 0x4040_AEA0
KVM_TRANSLATE = 0xC018_AE85
KVM_API_VERSION = 12
KVM_CAP_X86_MSR_FILTER = 189

KVM_EXIT_IO, KVM_EXIT_HLT, KVM_EXIT_MMIO, KVM_EXIT_SHUTDOWN, KVM_EXIT_FAIL_ENTRY = 2, 5, 6, 8, 9
KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_SYSTEM_EVENT, KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR = 17, 24, 29, 30

IRQCHIP_PORTS = ((0x20, 0x21), (0xA0, 0xA1), (0x4D0, 0x4D1))
PIT_PORTS = ((0x40, 0x43),)
"""Ports that the in-kernel interrupt controller and timer answer, so that no exit of theirs reaches user space."""

PASSED_TO_HARDWARE = (
    (0x10, 0x10), (0x48, 0x49), (0x10B, 0x10B), (0x174, 0x176), (0x1C4, 0x1C5), (0x3FC, 0x3FE), (0x660, 0x660),
    (0xC0000080, 0xC0000084), (0xC0000100, 0xC0000102),
)  # fmt: skip
"""MSRs that KVM may let a guest reach without an exit: vmx_possible_passthrough_msrs (vmx.c), direct_access_msrs (svm.c)."""
