"""MSRs that a guest owns under a policy, and who keeps their values apart from the host's.

A guest owns an MSR that its WRMSR reaches: passed through without an exit, or passed on by the exit handler
(``passthrough``, ``mask``). Its value is then still there when the host runs on. The database says which MSRs matter.
"""

from __future__ import annotations

from collections.abc import Iterable

from policyc.architecture.switched import KERNEL_GS_BASE, VMCS, VMLOAD, VMRUN, VmcsSwitch
from policyc.semantics.policy import DEFAULT_RULE, Actions, DecisionMap, Policy
from policyc.targets.registry import target as target_named
from policyc.vocabulary.access import MSR_WRITE
from policyc.vocabulary.intervals import Intervals, contains, normal, subtract, union
from policyc.vocabulary.typed import NamedTuple, Protocol

HOST, VMCS_FIELD, VMCB_FIELD = "host", "vmcs", "vmcb"
"""Who changes an MSR over: the host's software, VM entry and exit, or VMRUN, VMLOAD, VMSAVE and #VMEXIT."""

_FOREIGN = {"vmx": ("amd",), "svm": ("intel",)}
"""Vendors whose MSRs a target's processors do not have."""
_SOFTWARE = {
    "vmx": "save it after a VM exit and load the host's; load the guest's before VM entry (the MSR-store and MSR-load "
    "areas of the VMCS can do it)",
    "svm": "save it after #VMEXIT and load the host's; load the guest's before VMRUN",
}


class Tagged(NamedTuple):
    """One entry of the database: member n of members is the MSR lo + n * stride."""

    name: str
    lo: int
    members: int
    stride: int
    access: str
    vendor: str
    tags: frozenset[str]


class Registers(Protocol):
    """What is asked of policyc.database.names.Database."""

    def msrs_tagged(self, *tags: str) -> Iterable[tuple[str, int, int, int, str, str, frozenset[str]]]:
        """Entries that have one of the tags, as the fields of Tagged, in order of their numbers."""


class Obligation(NamedTuple):
    """MSRs lo..hi, which the guest owns. name: ``IA32_STAR``, ``IA32_PMC[0]..IA32_PMC[7]``.

    means: HOST, VMCS_FIELD or VMCB_FIELD. how: what to do, or which field and control do it, in words.
    """

    lo: int
    hi: int
    name: str
    means: str
    how: str


def obligations(policy: Policy, decisions: DecisionMap, target: str, registers: Registers) -> tuple[Obligation, ...]:
    """What a hypervisor on ``vmx`` or ``svm`` owes to its host under one variant; nothing on ``kvm``, which keeps every
    MSR that it lets a guest write apart by itself. Raises KeyError for another target."""
    windows = target_named(target).msr_windows
    if target not in _FOREIGN:
        return ()
    owned = union(owned_msrs(policy, decisions, windows), ((KERNEL_GS_BASE, KERNEL_GS_BASE),))
    found: dict[int, Obligation] = {}
    for fields in registers.msrs_tagged("switch", "vmcs-switched"):
        each = Tagged(*fields)
        if each.vendor in _FOREIGN[target] or "w" not in each.access:
            continue
        for member in range(each.members):
            index = each.lo + member * each.stride
            if index not in found and contains(owned, index):
                name = each.name if each.members == 1 else f"{each.name}[{member}]"
                found[index] = Obligation(index, index, name, *_keeper(target, index))
    return _joined(found[index] for index in sorted(found))


def owned_msrs(policy: Policy, decisions: DecisionMap, windows: Intervals) -> Intervals:
    """MSRs whose write reaches the register for at least one value. windows: MSRs that have a bit on the target."""
    default = decisions.defaults.msr
    inside = not default.traps or _reaches(default.actions)
    ranges, without_bit = [], []
    for lo, hi, chain in decisions.columns[MSR_WRITE]:
        rules = [policy.rules[number] for number in chain if number != DEFAULT_RULE]
        if any(not rule.traps or _reaches(rule.actions) for rule in rules) or (chain[-1] == DEFAULT_RULE and inside):
            ranges.append((lo, hi))
        if chain == (DEFAULT_RULE,):
            without_bit.append((lo, hi))
    # An MSR without a bit that no rule names is not decided by the default for MSRs but by `default msr outside`.
    outside = subtract(normal(without_bit), windows)
    owned = subtract(normal(ranges), outside)
    return union(owned, outside) if _reaches(decisions.defaults.outside) else owned


def _reaches(actions: Actions) -> bool:
    return actions[-1].name in ("passthrough", "mask")


def _keeper(target: str, index: int) -> tuple[str, str]:
    if target == "vmx" and index in VMCS:
        return VMCS_FIELD, vmcs_words(VMCS[index])
    if target == "svm" and index in VMRUN:
        return VMCB_FIELD, VMRUN[index]
    if target == "svm" and index in VMLOAD:
        return VMCB_FIELD, "VMLOAD and VMSAVE with the guest's VMCB and one of the host's"
    how = _SOFTWARE[target]
    return HOST, f"{how}; SWAPGS changes it without an exit" if index == KERNEL_GS_BASE else how


def vmcs_words(switch: VmcsSwitch) -> str:
    """The fields and controls that change one MSR over, in words."""
    controls = "secondary VM-exit controls" if switch.secondary else "VM-exit controls"
    entry = "always" if switch.entry is None else f"with bit {switch.entry} of the VM-entry controls"
    save = "always" if switch.save is None else f"with bit {switch.save} of the {controls}"
    restore = "always" if switch.restore is None else f"with bit {switch.restore} of the {controls}"
    host = "cleared" if switch.host is None else f"the host's loaded from field 0x{switch.host:x}"
    return f"VMCS field 0x{switch.guest:x}: loaded on entry {entry}; on exit saved {save}, {host} {restore}"


def _joined(found: Iterable[Obligation]) -> tuple[Obligation, ...]:
    """Neighbouring members of one family as one."""
    out: list[Obligation] = []
    for each in found:
        last = out[-1] if out else None
        if last and last.hi + 1 == each.lo and last[3:] == each[3:] and _family(last.name) == _family(each.name) != "":
            first = last.name.split("..")[0]
            out[-1] = last._replace(hi=each.hi, name=f"{first}..{each.name}")
        else:
            out.append(each)
    return tuple(out)


def _family(name: str) -> str:
    """The family's name of a member, empty for a single MSR."""
    return name.partition("[")[0] if "[" in name else ""
