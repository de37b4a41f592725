"""What KVM's MSR filter cannot say: T502, T503, T504, T514 and T515, one diagnostic a rule."""

from __future__ import annotations

from policyc.architecture.kvm import KVM_MSR_FILTER_MAX_RANGES, KVM_MSR_FILTER_READ, KVM_MSR_FILTER_WRITE, MAX_NMSRS
from policyc.semantics.policy import (
    DEFAULT_RULE,
    LAYER_OVERRIDE,
    DecisionMap,
    Default,
    Policy,
    Rule,
    Run,
    Variant,
)
from policyc.semantics.wording import brief
from policyc.targets.kvm_filter import X2APIC, default_denies, denied, packed
from policyc.targets.packing import Range
from policyc.targets.traps import chain_traps, trapping
from policyc.targets.windows import IN_REMEDY, access_words, listed, within
from policyc.vocabulary.access import IO_COLUMNS, MSR_COLUMNS, MSR_LAST, MSR_READ, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic, Label, error
from policyc.vocabulary.intervals import Interval, Intervals, contains, intersect, normal, size, subtract, union
from policyc.vocabulary.span import Span

_WORDS = {KVM_MSR_FILTER_READ: "read", KVM_MSR_FILTER_WRITE: "write", KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE: "rw"}
COUNTED = 64
"""Ranges that are counted out for a message; beyond, it says "more than"."""


def problems(policy: Policy, maps: tuple[DecisionMap, ...]) -> tuple[Diagnostic, ...]:
    """Every reason why KVM cannot keep the policy. maps: all variants that are compiled."""
    found = [
        *_x2apic(policy, maps),
        *_opened_ports(policy, maps),
        *_one_filter(policy, maps),
        *(each for decisions in maps for each in _too_many(policy, decisions)),
    ]
    seen: dict[tuple[str, Label | None, str], Diagnostic] = {}
    for each in found:
        seen.setdefault((each.code, each.primary, each.message), each)
    return tuple(seen.values())


def _x2apic(policy: Policy, maps: tuple[DecisionMap, ...]) -> list[Diagnostic]:
    """T502: rules, and defaults, that want an x2APIC MSR to exit."""
    by_rule: dict[int, list[Interval]] = {}
    by_default: dict[Default, list[Interval]] = {}
    for decisions in maps:
        default = decisions.defaults.msr
        for column in MSR_COLUMNS:
            for lo, hi, chain in within(decisions.columns[column], X2APIC):
                for number in chain:
                    if number != DEFAULT_RULE and policy.rules[number].traps:
                        by_rule.setdefault(number, []).append((lo, hi))
                    elif number == DEFAULT_RULE and default.traps:
                        by_default.setdefault(default, []).append((lo, hi))
    rules = [policy.rules[number] for number in sorted(by_rule)]
    return [
        *(_rule_on_x2apic(rule, normal(by_rule[rule.number])) for rule in rules),
        *(_default_on_x2apic(default, normal(parts)) for default, parts in by_default.items()),
    ]


_NEVER_FILTERED = "KVM ignores its filter for the x2APIC MSRs 0x800..0x8ff and does not say so: they never exit"


def _rule_on_x2apic(rule: Rule, part: Intervals) -> Diagnostic:
    override = "override " if rule.layer == LAYER_OVERRIDE else ""
    where = "" if rule.profile is None else f" in profile {rule.profile}"
    return error(
        "T502",
        f"`{rule.verb} msr {brief(rule.span.text)}` cannot hold on KVM: {listed(part)} would reach the guest unseen",
        rule.span,
        f"{size(part)} of {size(rule.ranges)} MSRs are x2APIC ones",
        notes=(_NEVER_FILTERED,),
        helps=(
            f"say what KVM will do{where}, on every target: {override}allow msr 0x800..0x8ff",
            "if they must exit, leave kvm out of the targets: target vmx",
        ),
    )


def _default_on_x2apic(default: Default, part: Intervals) -> Diagnostic:
    said = "`default exit`" if default.span is None else f"`{default.span.text}`"
    return error(
        "T502",
        f"{said} cannot hold on KVM for {listed(part)}: the x2APIC MSRs would reach the guest unseen",
        default.span,
        "this default wants them to exit",
        notes=(_NEVER_FILTERED,),
        helps=(
            "say what KVM will do, on every target: allow msr 0x800..0x8ff",
            "if they must exit, leave kvm out of the targets: target vmx",
        ),
    )


def _opened_ports(policy: Policy, maps: tuple[DecisionMap, ...]) -> list[Diagnostic]:
    """T503: ``allow io`` rules that promise a port without an exit, in any variant."""
    opened: dict[int, list[Interval]] = {}
    for decisions in maps:
        default = decisions.defaults.io.traps
        # Columns that no rule tells apart share their runs.
        for runs in {id(each): each for each in map(decisions.columns.__getitem__, IO_COLUMNS)}.values():
            for lo, hi, chain in runs:
                if chain != (DEFAULT_RULE,) and not chain_traps(policy.rules, chain, default):
                    for number in chain:
                        if number != DEFAULT_RULE:
                            opened.setdefault(number, []).append((lo, hi))
    said = []
    for number in sorted(opened):
        rule, part = policy.rules[number], normal(opened[number])
        said.append(
            error(
                "T503",
                f"`allow io {brief(rule.span.text)}` cannot hold on KVM: {listed(part)} "
                f"{'exits' if size(part) == 1 else 'exit'} to user space all the same",
                rule.span,
                "KVM has no I/O bitmap to clear",
                notes=("every port access under KVM is a KVM_EXIT_IO, unless an in-kernel device claims the port",),
                helps=(
                    f"state the exit and let the VMM pass it on: intercept io {listed(part, IN_REMEDY)}"
                    f"{access_words(rule.columns)} -> passthrough",
                    "or leave kvm out of the targets: target vmx",
                ),
            )
        )
    return said


def _one_filter(policy: Policy, maps: tuple[DecisionMap, ...]) -> list[Diagnostic]:
    """T514: rules that make the MSRs of one vCPU class exit and not those of another, in any profile."""
    by_profile: dict[str | None, dict[tuple[Intervals, Intervals], Variant]] = {}
    for decisions in maps:
        if policy.vcpu_classes[decisions.variant.vcpu_class].vcpus:
            group = by_profile.setdefault(decisions.variant.profile, {})
            group.setdefault(_denied(policy, decisions), decisions.variant)
    told: dict[int, Intervals] = {}
    for group in by_profile.values():
        if len(group) < 2:
            continue
        differing = tuple(
            subtract(union(*some), _common(*some)) for some in zip(*group, strict=True)
        )  # of reads, of writes
        for rule in policy.rules:
            if rule.vcpus is None or rule.space != "msr":
                continue
            parts = [intersect(rule.ranges, differing[c]) for c in MSR_COLUMNS if rule.columns >> c & 1]
            if any(parts):
                told[rule.number] = union(told.get(rule.number, ()), *parts)
    return [_not_per_vcpu(policy.rules[number], part) for number, part in sorted(told.items())]


def _denied(policy: Policy, decisions: DecisionMap) -> tuple[Intervals, Intervals]:
    return denied(*trapping(policy, decisions, MSR_COLUMNS))


def _common(first: Intervals, *others: Intervals) -> Intervals:
    for each in others:
        first = intersect(first, each)
    return first


def _not_per_vcpu(rule: Rule, part: Intervals) -> Diagnostic:
    assert rule.vcpus is not None
    some = [str(lo) if lo == hi else f"{lo}..{hi}" for lo, hi in rule.vcpus]
    vcpus = some[0] if len(some) == 1 else "{ " + ", ".join(some) + " }"
    return error(
        "T514",
        f"`{rule.verb} msr {brief(rule.span.text)} ... on vcpu {vcpus}` cannot hold on KVM: one filter serves all vCPUs",
        rule.span,
        f"{listed(part)} would exit on some vCPUs only",
        notes=("KVM_X86_SET_MSR_FILTER is an ioctl of the VM; the vCPUs have no filter of their own",),
        helps=(
            f"intercept {listed(part)} on every vCPU, and let the action differ: the VMM knows the vCPU at the exit",
            "or leave kvm out of the targets: target vmx",
        ),
    )


def _too_many(policy: Policy, decisions: DecisionMap) -> list[Diagnostic]:
    """T515 where MSR 0xffffffff forbids a filter, else T504 where the ranges do not suffice."""
    read, write = _denied(policy, decisions)
    if contains(read, MSR_LAST) != contains(write, MSR_LAST):
        return [_last_msr(policy, decisions, "its read and its write are decided differently")]
    packing = packed(read, write, KVM_MSR_FILTER_MAX_RANGES)
    if packing.stopped is None:
        return []
    if default_denies(read) != decisions.defaults.msr.traps:
        return [_last_msr(policy, decisions, "it is decided against the default")]
    return [_range_limit(policy, decisions, packing.ranges, packing.stopped)]


def _last_msr(policy: Policy, decisions: DecisionMap, why: str) -> Diagnostic:
    rule = _decider(policy, decisions, MSR_LAST)
    said = "the MSR 0xffffffff" if rule is None else f"`{rule.verb} msr {brief(rule.span.text)}`"
    return error(
        "T515",
        f"{said} cannot hold on KVM for MSR 0xffffffff: {why}{_in_profile(decisions)}",
        _place(rule, decisions),
        "ends at the last MSR" if rule is not None else "",
        notes=(
            "no filter range reaches MSR 0xffffffff (base + nmsrs would pass 2^32 and the range match nothing)",
            "so both directions of it have the filter's default, and so have all MSRs outside its ranges",
        ),
        helps=("leave 0xffffffff to the default: no processor has it",),
    )


def _range_limit(policy: Policy, decisions: DecisionMap, ranges: tuple[Range, ...], stopped: int) -> Diagnostic:
    full = packed(*_denied(policy, decisions), COUNTED)
    count = str(len(full.ranges)) if full.stopped is None else f"more than {COUNTED}"
    rule = _decider(policy, decisions, stopped)
    shown = ", ".join(f"{listed(((each.lo, each.hi),))} {_WORDS[each.flags]}" for each in ranges)
    return error(
        "T504",
        f"the MSRs of this policy need {count} KVM filter ranges{_in_profile(decisions)}, and KVM takes "
        f"{KVM_MSR_FILTER_MAX_RANGES}",
        _place(rule, decisions),
        f"0x{stopped:x} needs range {KVM_MSR_FILTER_MAX_RANGES + 1}",
        notes=(
            f"the best packing: {shown}; then 0x{stopped:x} and what follows",
            f"one range spans at most 0x{MAX_NMSRS:x} MSRs; MSRs outside all ranges have the default",
        ),
        helps=(
            "rules closer together share a range; read and write decided alike need one range, not two",
            "or leave kvm out of the targets: target vmx",
        ),
    )


def _decider(policy: Policy, decisions: DecisionMap, msr: int) -> Rule | None:
    """The first rule asked about an MSR, of the read or else of the write; None for the default."""
    for column in (MSR_READ, MSR_WRITE):
        number = _run_at(decisions.columns[column], msr).chain[0]
        if number != DEFAULT_RULE:
            return policy.rules[number]
    return None


def _run_at(runs: tuple[Run, ...], address: int) -> Run:
    return next(within(runs, ((address, address),)))


def _place(rule: Rule | None, decisions: DecisionMap) -> Span | None:
    return decisions.defaults.msr.span if rule is None else rule.span


def _in_profile(decisions: DecisionMap) -> str:
    return "" if decisions.variant.profile is None else f" in profile {decisions.variant.profile}"
