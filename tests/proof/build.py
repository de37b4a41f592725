"""Policies made by hand, and what a compiler should make of them, by loops too plain to be wrong."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable

from policyc.semantics.policy import (
    DEFAULT_RULE,
    EXIT,
    LAYER_MAIN,
    LAYER_OVERRIDE,
    LAYER_PROFILE,
    PASSTHROUGH,
    Action,
    Actions,
    Condition,
    DecisionMap,
    Default,
    Defaults,
    Policy,
    Profile,
    Rule,
    Run,
    Variant,
    VcpuClass,
)
from policyc.targets.base import Image
from policyc.vocabulary.access import IO_MASK, MSR_LAST, MSR_MASK, PORT_LAST
from policyc.vocabulary.intervals import Intervals, contains, normal, subtract
from policyc.vocabulary.span import Source, Span

SOURCE = Source("vm.pol", "")
SPAN = Span(SOURCE, 0, 0)
PASS = Default(False, PASSTHROUGH, None)
TRAP = Default(True, EXIT, None)
DEFAULTS = Defaults(PASS, PASS, EXIT, None)


def act(*names: str | Action) -> Actions:
    return tuple(Action(each) if isinstance(each, str) else each for each in names)


def value(op: str, operand: int, mask: int = (1 << 64) - 1) -> Condition:
    return Condition("value", mask, op, operand)


def cpl(op: str, operand: int) -> Condition:
    return Condition("cpl", (1 << 64) - 1, op, operand)


def rule(
    space: str,
    *ranges: tuple[int, int],
    verb: str = "intercept",
    columns: int | None = None,
    when: Iterable[Condition] = (),
    vcpus: Intervals | None = None,
    actions: Actions = EXIT,
    layer: int = LAYER_MAIN,
    profile: str | None = None,
) -> Rule:
    """One rule, its number still 0; ``policy`` counts. A profile's rule is of the profile layer unless it overrides."""
    if profile is not None and layer != LAYER_OVERRIDE:
        layer = LAYER_PROFILE
    if columns is None:
        columns = MSR_MASK if space == "msr" else IO_MASK
    if verb == "allow":
        actions = PASSTHROUGH
    return Rule(
        0, verb, space, normal(ranges), columns, tuple(when), vcpus, actions, layer, profile, 0, None, (), SPAN, SPAN
    )


def policy(
    *rules: Rule,
    defaults: Defaults = DEFAULTS,
    profiles: tuple[Profile, ...] = (),
    vcpus: tuple[Intervals, ...] = (),
) -> Policy:
    """A policy of these rules in this order. vcpus: the named classes; class ``rest`` is always the last."""
    rest = subtract(((0, 4095),), normal(pair for each in vcpus for pair in each))
    classes = (*(VcpuClass(str(each), each) for each in vcpus), VcpuClass("rest", rest))
    numbered = tuple(each._replace(number=number) for number, each in enumerate(rules))
    return Policy("vm", 1, (), defaults, numbered, profiles, classes, (), (), (), (), "")


def profile(name: str, *lineage: str, defaults: Defaults = DEFAULTS) -> Profile:
    """lineage: its ancestors, eldest first."""
    return Profile(name, lineage[-1:], (*lineage, name), defaults, (), SPAN)


def variants(policy: Policy) -> list[Variant]:
    names = [None, *(each.name for each in policy.profiles)]
    return [Variant(name, number) for name in names for number in range(len(policy.vcpu_classes))]


def decision_map(policy: Policy, variant: Variant) -> DecisionMap:
    lineage: tuple[str, ...] = ()
    defaults = policy.defaults
    for each in policy.profiles:
        if each.name == variant.profile:
            lineage, defaults = each.lineage, each.defaults
    vcpus = policy.vcpu_classes[variant.vcpu_class].vcpus
    rules = [
        each
        for each in policy.rules
        if (each.profile is None or each.profile in lineage)
        and (each.vcpus is None or (vcpus and contains(each.vcpus, vcpus[0][0])))
    ]

    def place(each: Rule) -> tuple[int, int, int, int]:
        generation = lineage.index(each.profile) if each.layer == LAYER_PROFILE and each.profile else 0
        return (-each.layer, -generation, int(each.traps), each.number)

    rules.sort(key=place)
    return DecisionMap(variant, defaults, tuple(_runs(rules, column) for column in range(8)))


def _runs(rules: list[Rule], column: int) -> tuple[Run, ...]:
    space, last = ("msr", MSR_LAST) if column < 2 else ("io", PORT_LAST)
    rules = [each for each in rules if each.space == space and each.columns >> column & 1]
    cuts = {0, last + 1}
    for each in rules:
        for lo, hi in each.ranges:
            cuts |= {lo, hi + 1}
    edges = sorted(cuts)
    runs: list[Run] = []
    for lo, end in itertools.pairwise(edges):
        chain: list[int] = []
        for each in rules:
            if contains(each.ranges, lo):
                chain.append(each.number)
                if not each.conditions:
                    break
        else:
            chain.append(DEFAULT_RULE)
        if runs and runs[-1].chain == tuple(chain):
            runs[-1] = runs[-1]._replace(hi=end - 1)
        else:
            runs.append(Run(lo, end - 1, tuple(chain)))
    return tuple(runs)


def traps(policy: Policy, decisions: DecisionMap, column: int, address: int) -> bool:
    default = decisions.defaults.msr if column < 2 else decisions.defaults.io
    for run in decisions.columns[column]:
        if run.lo <= address <= run.hi:
            return any(default.traps if number < 0 else policy.rules[number].traps for number in run.chain)
    raise AssertionError("the runs leave a gap")


def _trapping(policy: Policy, decisions: DecisionMap, columns: Iterable[int], first: int, last: int) -> set[int]:
    out: set[int] = set()
    for column in columns:
        default = decisions.defaults.msr if column < 2 else decisions.defaults.io
        for run in decisions.columns[column]:
            if any(default.traps if number < 0 else policy.rules[number].traps for number in run.chain):
                out.update(range(max(run.lo, first), min(run.hi, last) + 1))
    return out


def vmx_images(policy: Policy, decisions: DecisionMap) -> tuple[Image, ...]:
    msr, io = bytearray(4096), bytearray(8192)
    for column, base, start in ((0, 0, 0), (0, 0xC0000000, 1024), (1, 0, 2048), (1, 0xC0000000, 3072)):
        for index in _trapping(policy, decisions, [column], base, base + 0x1FFF):
            msr[start + (index - base) // 8] |= 1 << index % 8
    for port in _trapping(policy, decisions, range(2, 8), 0, PORT_LAST):
        io[port // 8] |= 1 << port % 8
    return Image("msr.bin", bytes(msr)), Image("io.bin", bytes(io))


def svm_images(policy: Policy, decisions: DecisionMap) -> tuple[Image, ...]:
    msr, io = bytearray(8192), bytearray(12288)
    msr[6144:] = b"\xff" * 2048
    for column in (0, 1):
        for start, base in ((0, 0), (2048, 0xC0000000), (4096, 0xC0010000)):
            for index in _trapping(policy, decisions, [column], base, base + 0x1FFF):
                bit = 2 * (index - base) + column
                msr[start + bit // 8] |= 1 << bit % 8
    for port in [*_trapping(policy, decisions, range(2, 8), 0, PORT_LAST), 65536, 65537, 65538]:
        io[port // 8] |= 1 << port % 8
    return Image("msrpm.bin", bytes(msr)), Image("iopm.bin", bytes(io))


def kvm_images(policy: Policy, decisions: DecisionMap) -> tuple[Image, ...]:
    """One range for every 0x3000 MSRs of every run that differs from the default; few enough in these tests."""
    deny = traps(policy, decisions, 0, 0x7FFFFFFF)
    ranges = []
    for column in (0, 1):
        default = decisions.defaults.msr
        for run in decisions.columns[column]:
            if any(default.traps if n < 0 else policy.rules[n].traps for n in run.chain) == deny:
                continue
            for base in range(run.lo, run.hi + 1, 0x3000):
                count = min(0x3000, run.hi + 1 - base)
                bits = bytearray((count + 63) // 64 * 8)
                if deny:
                    for index in range(count):
                        bits[index // 8] |= 1 << index % 8
                ranges.append({"flags": column + 1, "base": base, "nmsrs": count, "bitmap": bits.hex()})
    if deny and not ranges:  # the kernel refuses a filter that denies by default and has no range
        ranges.append({"flags": 3, "base": 0, "nmsrs": 1, "bitmap": "00" * 8})
    filter_ = {"format_version": 1, "flags": int(deny), "ranges": ranges}
    return (Image("kvm_filter.json", json.dumps(filter_).encode()),)


def all_maps(policy: Policy) -> dict[Variant, DecisionMap]:
    return {each: decision_map(policy, each) for each in variants(policy)}


def all_images(
    policy: Policy, maps: dict[Variant, DecisionMap], targets: Iterable[str] = ("vmx", "svm", "kvm")
) -> dict[Variant, dict[str, tuple[Image, ...]]]:
    make = {"vmx": vmx_images, "svm": svm_images, "kvm": kvm_images}
    return {each: {name: make[name](policy, maps[each]) for name in targets} for each in maps}
