"""What the hypervisor owes when it uses a bundle: settings of the hardware, and MSRs to keep apart, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from policyc.analyses.obligations import HOST, Obligation, Registers, obligations
from policyc.semantics.policy import DecisionMap, Policy, Run, Variant
from policyc.targets.base import Setting
from policyc.targets.registry import target
from policyc.vocabulary.access import MSR_WRITE

GENERAL = (
    "Fill struct policyc_guest (for KVM: the structures of the exit) before the call. After POLICYC_DONE and "
    "POLICYC_AGAIN load the registers back and enter the guest; after POLICYC_FAULT load them too, the exception is "
    "queued already; after POLICYC_PENDING load them and call again with the same exit once the hook can answer; after "
    "POLICYC_KILL stop the virtual machine; POLICYC_REFUSED is an exit for other code.",
    "Switch profiles together with the images: docs/handler.md has the order.",
)
BITMAPS = (
    "With RFLAGS.TF set, deliver a single-step #DB after POLICYC_DONE and POLICYC_AGAIN; after POLICYC_DONE end the "
    "blocking by STI and MOV SS, as after any instruction.",
)
PARTICULAR = {
    "vmx": (
        "INS and OUTS need IA32_VMX_BASIC bit 54: the processor then reports their operands in the VM-exit "
        "instruction information.",
    ),
    "svm": ("OUTS needs decode assists (CPUID Fn8000_000A EDX bit 7): EXITINFO1 then names the segment.",),
    "kvm": (
        "Clear done before the first call for a KVM_EXIT_IO. KVM finishes the instruction at the next KVM_RUN, so a "
        "fault other than #GP on an MSR has to be queued after that (run once with immediate_exit set).",
    ),
}
"""What each target adds. Intel SDM vol. 3D appendix A.1, AMD APM vol. 2 15.10.2, Documentation/virt/kvm/api.rst."""


def duties(targets: tuple[str, ...], owed: tuple[str, ...]) -> tuple[str, ...]:
    """One text for each duty, those of the hardware first. owed: what ``msrs_owed`` gave."""
    texts: list[str] = []
    for name in targets:
        settings = [f"{each.where}{_encoding(each)}: {each.need}." for each in target(name).settings()]
        texts += [f"{name}: {text}" for text in (*settings, *PARTICULAR[name])]
    return (*texts, *owed, *GENERAL, *(BITMAPS if {"vmx", "svm"} & set(targets) else ()))


def _encoding(setting: Setting) -> str:
    return "" if setting.encoding is None else f" ({setting.encoding:#x})"


def msrs_owed(
    policy: Policy, maps: Mapping[Variant, DecisionMap], targets: tuple[str, ...], registers: Registers
) -> tuple[str, ...]:
    """The MSRs that the guest owns under any variant, and who keeps them apart; manifest.json says how, one by one."""
    texts = []
    for name in targets:
        found: dict[Obligation, None] = {}
        asked: set[tuple[tuple[Run, ...], object]] = set()
        for decisions in maps.values():
            key = (decisions.columns[MSR_WRITE], decisions.defaults.msr[:2])
            if key not in asked:
                asked.add(key)
                found |= dict.fromkeys(obligations(policy, decisions, name, registers))
        ours = _names(each for each in found if each.means == HOST)
        fields = _names(each for each in found if each.means != HOST)
        if ours:
            texts.append(f"{name}: save the guest's and load the host's value of MSRs that the guest writes: {ours}.")
        if fields:
            texts.append(f"{name}: set the controls that switch these MSRs (manifest.json, obligations): {fields}.")
    return tuple(texts)


def _names(found: Iterable[Obligation]) -> str:
    """Names in the order of their numbers; a family once, as ``IA32_PMC[]``."""
    whole = (each.name for each in sorted(found))
    return ", ".join(dict.fromkeys(f"{name.partition('[')[0]}[]" if "[" in name else name for name in whole))
