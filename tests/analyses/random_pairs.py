"""Small random policies, and every access that can tell two of them apart, judged by the naive evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from random import Random

from policyc.proof.evaluate import Reading, judge, read
from policyc.semantics.policy import LAYER_MAIN, LAYER_OVERRIDE, Action, Actions, Default, Defaults, Policy, Variant
from policyc.vocabulary.access import IO_MASK, MSR_MASK, Access
from tests.proof.build import EXIT, PASS, TRAP, act, cpl, policy, profile, rule, value

MSRS = (*range(6), 0x1FFE, 0x1FFF, 0x2000, 0x2001)
PORTS = (*range(0x10, 0x1C), *range(0xFFFA, 0x10000))
VALUES = (0, 1, 2, 3, 6)
"""One for every way that the conditions below can turn out."""

CONDITIONS = (value("!=", 0, 1), value("==", 2, 6), value("<", 2), value("==", 0), cpl("==", 0), cpl(">", 2))
ACTIONS = (
    act("exit"),
    act("kill"),
    act("drop"),
    act("count", "passthrough"),
    act(Action("const", (("value", 7),))),
    act(Action("mask", (("and", 1), ("or", 0)))),
    act("log", "exit"),
)
COLUMNS = {"msr": (MSR_MASK, 1, 2), "io": (IO_MASK, 0b00011100, 0b11100000, 0b10010000, 0b00101000)}
OUTSIDE = (EXIT, act("drop"))


def some_policy(rng: Random, most: int = 7) -> Policy:
    """Up to ``most`` rules with and without conditions, in layers, for some vCPUs, and perhaps a profile."""
    defaults = Defaults(rng.choice((PASS, TRAP)), rng.choice((PASS, TRAP)), rng.choice(OUTSIDE), None)
    profiles = (profile("hard", defaults=defaults._replace(io=TRAP)),) if rng.random() < 0.5 else ()
    named = (((0, 1),),) if rng.random() < 0.5 else ()
    rules = [_rule(rng, bool(profiles), bool(named)) for _ in range(rng.randint(0, most))]
    return policy(*rules, defaults=defaults, profiles=profiles, vcpus=named)


def _rule(rng: Random, profiles: bool, vcpus: bool):
    space = rng.choice(("msr", "io"))
    some = MSRS if space == "msr" else PORTS
    at = rng.randrange(len(some))
    end = min(len(some) - 1, at + rng.choice((0, 0, 1, 3)))
    lo, hi = (some[at], some[end]) if some[end] - some[at] < 8 else (some[at], some[at])
    return rule(
        space,
        (lo, hi),
        verb=rng.choice(("intercept", "intercept", "allow")),
        columns=rng.choice(COLUMNS[space]),
        when=rng.sample(CONDITIONS, rng.choice((0, 0, 1, 2))),
        vcpus=((0, 1),) if vcpus and rng.random() < 0.3 else None,
        actions=rng.choice(ACTIONS),
        layer=rng.choice((LAYER_MAIN, LAYER_MAIN, LAYER_OVERRIDE)),
        profile="hard" if profiles and rng.random() < 0.3 else None,
    )


def changed(rng: Random, subject: Policy) -> Policy:
    """The policy with a few rules taken out, put in or altered: mostly the same."""
    rules = list(subject.rules)
    for _ in range(rng.randint(1, 2)):
        if rules and rng.random() < 0.6:
            rules.pop(rng.randrange(len(rules)))
        if rng.random() < 0.7:
            rules.insert(rng.randint(0, len(rules)), _rule(rng, bool(subject.profiles), len(subject.vcpu_classes) > 1))
    numbered = tuple(each._replace(number=number) for number, each in enumerate(rules))
    return subject._replace(rules=numbered)


@cache
def accesses() -> tuple[Access, ...]:
    """Every access that the rules above can tell from another."""
    found = []
    for address in MSRS:
        for level in (0, 1, 3):
            found.append(Access("rdmsr", address, 8, 0, level))
            found += [Access("wrmsr", address, 8, each, level) for each in VALUES]
    ports = sorted({port - reach for port in PORTS for reach in range(4)})
    for port in ports:
        for width in (1, 2, 4):
            for level in (0, 1, 3):
                found.append(Access("in", port, width, 0, level))
                found += [Access("out", port, width, each, level) for each in VALUES]
    return tuple(found)


def outcomes(subject: Policy, variant: Variant) -> Iterator[tuple[Access, Actions]]:
    """What the evaluator makes of each of them on VMX."""
    reading: Reading = read(subject, variant)
    for access in accesses():
        yield access, judge(reading, access, "vmx").actions


def passes(actions: Actions) -> bool:
    """Whether an access with this outcome reaches the hardware as the guest wrote it."""
    return actions[-1].name == "passthrough"


__all__ = ["Default", "accesses", "changed", "outcomes", "passes", "some_policy"]
