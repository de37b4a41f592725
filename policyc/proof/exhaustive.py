"""The proof by the literal loop: every access of the domain, one by one, no cells, no rows, nothing remembered.

For each access three answers are compared: the evaluator's; what the processor (or KVM) does with the image's bits;
and what a handler does that walks the decision map's chain. The domain: every MSR that has a bit on any target, both
directions; MSRs without one around every edge (all others are like one of them); every port, width and direction.
Where a rule with conditions is near, the access is made again with values and CPLs on both sides of each condition.

Half a million accesses a target and variant take some ten seconds; policyc.proof.prove says the same at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from policyc.architecture.kvm import X2APIC_FIRST, X2APIC_LAST
from policyc.architecture.svm import MSR_WINDOWS as SVM_WINDOWS
from policyc.architecture.vmx import MSR_WINDOWS as VMX_WINDOWS
from policyc.proof.evaluate import Bit, Reading, Verdict, judge, msr_place, port_place, read
from policyc.proof.kvm import Filter, FilterError, allowed
from policyc.proof.kvm import read as read_filter
from policyc.proof.mismatch import Compared, Findings, Mismatch, Proof
from policyc.proof.shape import KVM_IMAGE, check_shape
from policyc.semantics.policy import (
    DEFAULT_RULE,
    EXIT,
    PASSTHROUGH,
    STRICTNESS,
    Action,
    Actions,
    Condition,
    DecisionMap,
    Policy,
    Variant,
)
from policyc.targets.base import Image
from policyc.vocabulary.access import IO, MSR, MSR_LAST, PORT_LAST, WIDTHS, Access
from policyc.vocabulary.intervals import Intervals, normal, union

Progress = Callable[[str, int, int], None]
"""Called with what is being compared, and how many loops (a variant on a target is one) are done, of how many."""

_BLOCK = 64
"""Addresses for which the rules near are looked up together."""
_MSR_KINDS, _PORT_KINDS = ("rdmsr", "wrmsr"), ("in", "out")
_EVERY_BIT = (1 << 64) - 1


def prove(
    policy: Policy,
    maps: Mapping[Variant, DecisionMap],
    images: Mapping[Variant, Mapping[str, tuple[Image, ...]]],
    progress: Progress | None = None,
) -> Proof:
    """As policyc.proof.prove.prove, access by access. Raises ProofError."""
    findings = Findings()
    check_shape(policy, maps, images, findings)
    findings.settle()
    counts: dict[tuple[str, str], int] = {}
    done = 0
    total = sum(len(targets) for targets in images.values())
    for variant, targets in images.items():
        reading = read(policy, variant)
        mapped = _Mapped(policy, maps[variant])
        for target, files in targets.items():
            if progress is not None:
                progress(_loop(policy, variant, target), done, total)
            hardware = _hardware(variant, target, files, findings)
            if hardware is not None:
                _compare(variant, reading, mapped, hardware, counts, findings)
            done += 1
    findings.settle()
    compared = tuple(Compared(target, kind, count) for (target, kind), count in sorted(counts.items()))
    return Proof(compared, len(maps), 0)


def _loop(policy: Policy, variant: Variant, target: str) -> str:
    """``vmx, profile run, vCPUs 0-3``."""
    words = [target]
    if variant.profile is not None:
        words.append(f"profile {variant.profile}")
    if len(policy.vcpu_classes) > 1:
        words.append(f"vCPUs {policy.vcpu_classes[variant.vcpu_class].name}")
    return ", ".join(words)


def _compare(
    variant: Variant,
    reading: Reading,
    mapped: _Mapped,
    hardware: _Hardware,
    counts: dict[tuple[str, str], int],
    findings: Findings,
) -> None:
    for near, access in _accesses(reading):
        verdict = judge(near, access, hardware.target)
        exits = hardware.exits(access)
        answer = mapped.answer(access, hardware.target, exits)
        key = (hardware.target, access.kind)
        counts[key] = counts.get(key, 0) + 1
        if verdict.exits != exits or any(hardware.bit(bit) != bit.value for bit in verdict.bits):
            findings.add(_wrong_bit(variant, access, verdict, hardware, exits))
        elif answer != (verdict.actions, verdict.rule):
            expected, found = _words(verdict.actions, verdict.rule), _words(*answer)
            findings.add(Mismatch(variant, "decision map", access, expected, found, rule=verdict.rule))


def _wrong_bit(variant: Variant, access: Access, verdict: Verdict, hardware: _Hardware, exits: bool) -> Mismatch:
    words = ("does not exit", "exits")
    expected, found = words[verdict.exits], words[exits]
    for bit in verdict.bits:
        value = hardware.bit(bit)
        if value != bit.value:
            expected, found = f"{bit.value} ({words[bit.value]})", f"{value} ({words[value]})"
            return Mismatch(variant, bit.image, access, expected, found, bit.byte, bit.bit, verdict.rule)
    where = KVM_IMAGE if hardware.target == "kvm" else hardware.target
    return Mismatch(variant, where, access, expected, found, rule=verdict.rule)


def _words(actions: Actions, rule: int | None) -> str:
    who = "the default or the hardware" if rule is None else f"rule {rule}"
    return f"{', '.join(action.name for action in actions)} by {who}"


# --- the domain ---


def _accesses(reading: Reading) -> Iterator[tuple[Reading, Access]]:
    """Every access of the domain, with the rules that it may touch."""
    for lo, hi in _msrs(reading):
        for first in range(lo, hi + 1, _BLOCK):
            last = min(first + _BLOCK - 1, hi)
            near = reading.near(MSR, first, last)
            for msr in range(first, last + 1):
                for kind in _MSR_KINDS:
                    yield from ((near, each) for each in _valuations(near, Access(kind, msr)))
    for first in range(0, PORT_LAST + 1, _BLOCK):
        near = reading.near(IO, first, first + _BLOCK - 1 + max(WIDTHS) - 1)
        for port in range(first, first + _BLOCK):
            for kind in _PORT_KINDS:
                for width in WIDTHS:
                    yield from ((near, each) for each in _valuations(near, Access(kind, port, width)))


def _msrs(reading: Reading) -> Intervals:
    """Both vendors' windows, and two MSRs on either side of every edge of a window, of x2APIC or of a rule."""
    ends = [(0, MSR_LAST), (X2APIC_FIRST, X2APIC_LAST), *VMX_WINDOWS, *SVM_WINDOWS]
    ends += [pair for _, rule in reading.rules if rule.space == MSR for pair in rule.ranges]
    sides = [(max(0, edge - 2), min(MSR_LAST, edge + 2)) for pair in ends for edge in pair]
    return union(VMX_WINDOWS, SVM_WINDOWS, normal(sides))


def _valuations(near: Reading, access: Access) -> Iterator[Access]:
    """The access with value 0 at CPL 0; and, for every condition near, with values and CPLs on both sides of it."""
    conditions = {each for _, rule in near.rules for each in rule.conditions}
    yield access
    if not conditions:
        return
    values = {0}
    if access.kind in ("wrmsr", "out"):
        limit = (1 << 8 * access.width) - 1
        for each in conditions:
            if each.subject == "value":
                for number in (each.operand - 1, each.operand, each.operand + 1, each.mask, _EVERY_BIT):
                    values.add(number & limit)
    rings = range(4) if any(each.subject == "cpl" for each in conditions) else range(1)
    for value in sorted(values):
        for ring in rings:
            if value or ring:
                yield access._replace(value=value, cpl=ring)


# --- what the processor, or KVM, does ---


class _Hardware:
    """One variant's images of one target, asked a bit at a time."""

    def __init__(self, target: str, files: Mapping[str, bytes], subject: Filter | None) -> None:
        self.target = target
        self._files = files
        self._filter = subject

    def bit(self, place: Bit) -> int:
        return self._files[place.image][place.byte] >> place.bit & 1

    def exits(self, access: Access) -> bool:
        if access.kind in _MSR_KINDS:
            write = access.kind == "wrmsr"
            if self._filter is not None:
                return not allowed(self._filter, access.address, write)
            place = msr_place(self.target, access.address, write)
            return place is None or bool(self._files[place[0]][place[1]] >> place[2] & 1)
        if self._filter is not None:
            return True  # KVM has no port policy.
        if self.target == "vmx" and access.address + access.width > PORT_LAST + 1:
            return True
        for port in range(access.address, access.address + access.width):
            place = port_place(self.target, port)
            assert place is not None
            if self._files[place[0]][place[1]] >> place[2] & 1:
                return True
        return False


def _hardware(variant: Variant, target: str, files: tuple[Image, ...], findings: Findings) -> _Hardware | None:
    held = {image.name: image.data for image in files}
    if target != "kvm":
        return _Hardware(target, held, None)
    try:
        return _Hardware(target, held, read_filter(held[KVM_IMAGE]))
    except FilterError as error:
        findings.add(Mismatch(variant, KVM_IMAGE, None, "a filter that KVM takes", str(error)))
        return None


# --- what a handler does that walks the decision map ---


class _Link(NamedTuple):
    """What one byte's chain came to. rule: None for the default."""

    rule: int | None
    traps: bool
    actions: Actions


class _Mapped:
    """A decision map, asked one access at a time."""

    def __init__(self, policy: Policy, decisions: DecisionMap) -> None:
        self._policy = policy
        self._decisions = decisions
        self._ports = [[run.chain for run in runs for _ in range(run.lo, run.hi + 1)] for runs in decisions.columns[2:]]
        self._at = [0, 0]

    def answer(self, access: Access, target: str, exits: bool) -> tuple[Actions, int | None]:
        """What becomes of an access whose exit the hardware has decided, and the rule that says so."""
        last = access.address + access.width - 1 if access.kind in _PORT_KINDS else access.address
        links = [self._link(access, port) for port in range(access.address, last + 1)]
        msr = access.kind in _MSR_KINDS
        found = links[0] if msr else _combine([each for each in links if each is not None], access.width)
        assert found is not None
        if not exits:
            return PASSTHROUGH, found.rule if not found.traps and _consulted(access, target) else None
        if msr and target != "kvm" and msr_place(target, access.address, access.kind == "wrmsr") is None:
            return (self._decisions.defaults.outside, None) if found.rule is None else (found.actions, found.rule)
        if not msr and last > PORT_LAST and found.actions[-1].name == "passthrough":
            return EXIT, None
        return (found.actions, found.rule) if found.traps else (PASSTHROUGH, None)

    def _link(self, access: Access, address: int) -> _Link | None:
        chain = self._chain(access.column, address)
        if chain is None:
            return None
        for number in chain:
            if number == DEFAULT_RULE:
                break
            rule = self._policy.rules[number]
            if all(_holds(each, access) for each in rule.conditions):
                return _Link(number, rule.verb != "allow", rule.actions)
        defaults = self._decisions.defaults
        default = defaults.msr if access.kind in _MSR_KINDS else defaults.io
        return _Link(None, default.traps, default.actions)

    def _chain(self, column: int, address: int) -> tuple[int, ...] | None:
        """None for a port past the last."""
        if column >= 2:
            return self._ports[column - 2][address] if address <= PORT_LAST else None
        runs = self._decisions.columns[column]
        at = self._at[column]
        if not runs[at].lo <= address <= runs[at].hi:
            at = self._at[column] = next(n for n, run in enumerate(runs) if run.lo <= address <= run.hi)
        return runs[at].chain


def _consulted(access: Access, target: str) -> bool:
    """Whether the target consults anything for this access: KVM does not for the x2APIC MSRs."""
    return not (target == "kvm" and access.kind in _MSR_KINDS and X2APIC_FIRST <= access.address <= X2APIC_LAST)


def _combine(links: list[_Link], width: int) -> _Link:
    """Rule 5 of the law: the strictest byte, then one that logs, counts or traces, then the lowest; a value needs every byte."""
    ranks = [(STRICTNESS.index(each.actions[-1].name), bool(each.actions[:-1])) for each in links]
    first = links[ranks.index(max(ranks))]
    alone = len(links) == width and len({each.rule for each in links}) == 1
    if first.actions[-1].name in ("const", "mask", "shadow") and not alone:
        return first._replace(actions=(*first.actions[:-1], Action("drop")))
    return first


def _holds(condition: Condition, access: Access) -> bool:
    if condition.subject == "value":
        if access.kind in ("rdmsr", "in"):
            return False
        left = access.value % (1 << 8 * access.width) & condition.mask
    else:
        left = access.cpl & condition.mask
    right = condition.operand
    return {
        "==": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[condition.op]
