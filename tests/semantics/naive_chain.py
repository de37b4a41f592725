"""A decider that looks at one address at a time, written from the law alone, and random rules over a small universe."""

from __future__ import annotations

from hypothesis import strategies as st

from policyc.semantics.policy import (
    EXIT,
    LAYER_IMPORT,
    LAYER_MAIN,
    LAYER_OVERRIDE,
    LAYER_PROFILE,
    Policy,
    Rule,
    Variant,
)
from policyc.vocabulary.access import IO, MSR, OUT_MASK
from tests.semantics.policies import ACCESS, KILL, Draft, condition, const, rule

CONDITIONS = [condition(text) for text in ("value == 1", "value & 0x3 != 2", "value > 9", "cpl == 3")]


def chain_of(policy: Policy, variant: Variant, column: int, address: int) -> tuple[int, ...]:
    """Rule numbers, first asked first, by steps 1 to 4 of the law."""
    lineage: tuple[str, ...] = ()
    for each in policy.profiles:
        if each.name == variant.profile:
            lineage = each.lineage
    vcpus = policy.vcpu_classes[variant.vcpu_class].vcpus
    matching = []
    for one in policy.rules:
        if one.space != ("msr" if column < 2 else "io") or not one.columns & (1 << column):
            continue
        if not any(lo <= address <= hi for lo, hi in one.ranges):
            continue
        if one.vcpus is not None and not (vcpus and any(lo <= vcpus[0][0] <= hi for lo, hi in one.vcpus)):
            continue
        if one.profile is not None and one.profile not in lineage:
            continue
        matching.append(one)
    layers: list[list[Rule]] = [[one for one in matching if one.layer == LAYER_OVERRIDE]]
    layers += [[r for r in matching if r.layer == LAYER_PROFILE and r.profile == name] for name in reversed(lineage)]
    layers += [[one for one in matching if one.layer == layer] for layer in (LAYER_MAIN, LAYER_IMPORT)]
    chain: list[int] = []
    for members in layers:
        for verbs in (("allow",), ("intercept", "deny")):
            chain += [one.number for one in members if one.verb in verbs and one.conditions]
            firm = [one.number for one in members if one.verb in verbs and not one.conditions]
            if firm:
                return (*chain, min(firm))
    return (*chain, -1)


@st.composite
def drafts(draw: st.DrawFn, addresses: int = 12, layers: bool = True) -> Draft:
    """One rule over addresses 0..addresses-1."""
    space = draw(st.sampled_from([MSR, IO]))
    lo = draw(st.integers(0, addresses - 1))
    ranges = [(lo, draw(st.integers(lo, addresses - 1)))]
    if ranges[0][1] + 2 < addresses and draw(st.booleans()):
        low = draw(st.integers(ranges[0][1] + 2, addresses - 1))
        ranges.append((low, draw(st.integers(low, addresses - 1))))
    words = ["read", "write", "rw"] if space == MSR else ["in", "out", "inout"]
    columns = ACCESS[draw(st.sampled_from(words))]
    when = tuple(draw(st.lists(st.sampled_from(CONDITIONS), max_size=1)))
    if when:
        columns = ACCESS["write"] if space == MSR else OUT_MASK
    verb = draw(st.sampled_from(["intercept", "allow"]))
    return rule(
        verb,
        space,
        tuple(ranges),
        columns,
        None if verb == "allow" else draw(st.sampled_from([EXIT, KILL, const(1)])),
        when=when,
        vcpus=draw(st.sampled_from([None, None, ((0, 1),), ((1, 2),)])),
        override=layers and draw(st.booleans()) and draw(st.booleans()),
        profile=draw(st.sampled_from([None, None, "base", "child", "other"])) if layers else None,
        module=draw(st.integers(0, 2)),
    )
