"""AMD SVM: permission map layouts and VMCB fields. AMD APM vol. 2, sections 15.10 and 15.11, appendix B and C."""

from __future__ import annotations

MSR_WINDOWS = (
    (0x0000_0000, 0x0000_1FFF),
    (0xC000_0000, 0xC000_1FFF),
    (0xC001_0000, 0xC001_1FFF),
)
"""MSRs that have bits, in the order of their 2 KiB vectors; every other RDMSR or WRMSR is intercepted."""

MSRPM_BYTES = 8192
MSRPM_VECTOR_BYTES = 2048
MSRPM_RESERVED = (6144, 8191)
"""First and last byte that the processor does not read. policyc writes 0xff, as KVM and Xen do."""

IOPM_BYTES = 12288
IOPM_BITS = 65536 + 3
"""Bits that the processor may read: the three past port 0xffff serve wide accesses at 0xfffd..0xffff."""

VMCB_INTERCEPT_MISC1 = 0x00C
IOIO_PROT, MSR_PROT = 27, 28
VMCB_IOPM_BASE_PA, VMCB_MSRPM_BASE_PA = 0x040, 0x048
"""VMCB byte offsets and bits of the control area (APM vol. 2, appendix B)."""

VMEXIT_IOIO, VMEXIT_MSR = 0x7B, 0x7C
"""Exit codes (APM vol. 2, appendix C)."""
