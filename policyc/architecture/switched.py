"""MSRs that the processor itself changes over between guest and host, and how a hypervisor makes it do so.

Intel SDM vol. 3C, "Loading Guest State", "Saving Guest State", "Loading Host State" and vol. 3D appendix B;
AMD APM vol. 2, 15.5 (VMRUN, #VMEXIT) and the VMLOAD and VMSAVE instructions.
"""

from __future__ import annotations

from policyc.vocabulary.typed import NamedTuple


class VmcsSwitch(NamedTuple):
    """How VM entry and VM exit change one MSR over.

    guest, host: VMCS encodings of its fields; host None: VM exit clears the MSR. entry: bit of the VM-entry controls
    that loads the guest's value, None: always. restore: bit of the VM-exit controls that loads the host's value, or
    clears it; None: always. save: bit of the VM-exit controls that saves the guest's value; None: always.
    secondary: restore and save are bits of the secondary VM-exit controls.
    """

    guest: int
    host: int | None
    entry: int | None
    restore: int | None
    save: int | None = None
    secondary: bool = False


_FRED_ENTRY, _FRED_RESTORE, _FRED_SAVE = 23, 1, 0


def _fred(guest: int, host: int) -> VmcsSwitch:
    return VmcsSwitch(guest, host, _FRED_ENTRY, _FRED_RESTORE, _FRED_SAVE, secondary=True)


VMCS: dict[int, VmcsSwitch] = {
    0x174: VmcsSwitch(0x482A, 0x4C00, None, None),
    0x175: VmcsSwitch(0x6824, 0x6C10, None, None),
    0x176: VmcsSwitch(0x6826, 0x6C12, None, None),
    0x1CD: _fred(0x281C, 0x2C0A),
    0x1CE: _fred(0x281E, 0x2C0C),
    0x1CF: _fred(0x2820, 0x2C0E),
    0x1D0: _fred(0x2822, 0x2C10),
    0x1D1: _fred(0x2824, 0x2C12),
    0x1D2: _fred(0x2826, 0x2C14),
    0x1D3: _fred(0x2828, 0x2C16),
    0x1D4: _fred(0x281A, 0x2C08),
    0x1D9: VmcsSwitch(0x2802, None, 2, None, 2),
    0x277: VmcsSwitch(0x2804, 0x2C00, 14, 19, 18),
    0x38F: VmcsSwitch(0x2808, 0x2C04, 13, 12, 30),
    0x570: VmcsSwitch(0x2814, None, 18, 25),
    0x6A2: VmcsSwitch(0x6828, 0x6C18, 20, 28),
    0x6A8: VmcsSwitch(0x682C, 0x6C1C, 20, 28),
    0x6E1: VmcsSwitch(0x2818, 0x2C06, 22, 29),
    0xD90: VmcsSwitch(0x2812, None, 16, 23),
    0x14CE: VmcsSwitch(0x2816, None, 21, 26),
    0xC0000080: VmcsSwitch(0x2806, 0x2C02, 15, 21, 20),
    0xC0000100: VmcsSwitch(0x680E, 0x6C06, None, None),
    0xC0000101: VmcsSwitch(0x6810, 0x6C08, None, None),
}
"""By MSR index."""

VMLOAD = frozenset({0x174, 0x175, 0x176, *range(0xC0000081, 0xC0000085), 0xC0000100, 0xC0000101, 0xC0000102})
"""MSRs that VMLOAD loads from, and VMSAVE stores to, a VMCB: SYSENTER_*, STAR, LSTAR, CSTAR, SFMASK, FS and GS base,
KernelGSBase."""

VMRUN = {0xC0000080: "VMRUN loads it from VMCB offset 0x4d0, #VMEXIT from the host save area",
         0x277: "under nested paging VMRUN loads it from VMCB offset 0x668 (G_PAT); without, it is the host's own"}  # fmt: skip
"""MSRs that VMRUN and #VMEXIT change over."""

KERNEL_GS_BASE = 0xC0000102
"""Changed by SWAPGS, which no bitmap sees: the guest owns it whatever the policy says."""
