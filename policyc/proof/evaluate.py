"""One access in, one verdict out: the law of policyc/semantics/policy.py and the manuals, read rule by rule.

Deliberately naive, and deliberately alone: it shares no code with the resolver, the decision map or the targets, so
that an error there is not repeated here. Bit positions are restated from the Intel SDM and the AMD APM.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

from policyc.architecture.kvm import X2APIC_FIRST, X2APIC_LAST
from policyc.architecture.svm import MSR_WINDOWS as SVM_WINDOWS
from policyc.architecture.vmx import HIGH_FIRST, HIGH_LAST, LOW_FIRST, LOW_LAST
from policyc.semantics.policy import (
    DEFAULT_RULE,
    EXIT,
    LAYER_PROFILE,
    PASSTHROUGH,
    STRICTNESS,
    Action,
    Actions,
    Condition,
    Default,
    Defaults,
    Policy,
    Rule,
    Variant,
)
from policyc.vocabulary.access import IO, IO_COLUMNS, MSR, MSR_LAST, MSR_READ, MSR_WRITE, PORT_LAST, Access
from policyc.vocabulary.intervals import contains
from policyc.vocabulary.typed import NamedTuple

TARGETS = ("vmx", "svm", "kvm")

_OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NEED_EVERY_BYTE = ("const", "mask", "shadow")
_DROP = Action("drop")


class Bit(NamedTuple):
    """One bit that the hardware consults. image: file name. byte: offset in it. bit: 0..7. value: what it must be."""

    image: str
    byte: int
    bit: int
    value: int


class Verdict(NamedTuple):
    """What becomes of one access.

    exits: whether the processor (or KVM) exits. actions: what the handler then does; PASSTHROUGH where it never runs.
    rule: the deciding rule's number, None where the default or the hardware decided. reason: ``rule``, ``default``,
    ``outside-window`` (the MSR has no bit), ``past-last-port`` (the access runs past port 0xffff), ``shared-bit`` (the
    policy passes it, but the target cannot tell it from an access that traps; the handler passes it on) or
    ``x2apic-unfiltered`` (KVM never filters it). bits: every bit consulted, lowest port first; none for KVM, whose
    bitmaps lie wherever its ranges put them (policyc.proof.kvm finds them).
    """

    exits: bool
    actions: Actions
    rule: int | None
    reason: str
    bits: tuple[Bit, ...]


class Reading(NamedTuple):
    """The rules that are in force on one variant, in source order, with the rank of each one's layer."""

    defaults: Defaults
    rules: tuple[tuple[tuple[int, int], Rule], ...]

    def near(self, space: str, lo: int, hi: int) -> Reading:
        """The same for accesses that touch nothing but addresses lo..hi of the space: rules elsewhere left out."""
        near = [
            (rank, rule)
            for rank, rule in self.rules
            if rule.space == space and any(a <= hi and lo <= b for a, b in rule.ranges)
        ]
        return Reading(self.defaults, tuple(near))


class _Decision(NamedTuple):
    rule: Rule | None
    traps: bool
    actions: Actions


def evaluate(policy: Policy, variant: Variant, access: Access, target: str) -> Verdict:
    """The verdict on one access under one variant, on target ``vmx``, ``svm`` or ``kvm``.

    Raises ValueError for another target, an address outside the space, a profile or vCPU class that is not there, and
    KeyError for a kind and width that no instruction has.
    """
    return judge(read(policy, variant), access, target)


def read(policy: Policy, variant: Variant) -> Reading:
    """The rules in force on a variant: those outside profiles and those of its profile's lineage, for its vCPUs."""
    lineage: tuple[str, ...] = ()
    defaults = policy.defaults
    if variant.profile is not None:
        found = [profile for profile in policy.profiles if profile.name == variant.profile]
        if not found:
            raise ValueError(f"no profile is named {variant.profile!r}")
        lineage, defaults = found[0].lineage, found[0].defaults
    if not 0 <= variant.vcpu_class < len(policy.vcpu_classes):
        raise ValueError(f"there is no vCPU class {variant.vcpu_class}")
    vcpus = policy.vcpu_classes[variant.vcpu_class].vcpus
    rules: list[tuple[tuple[int, int], Rule]] = []
    ranks: dict[tuple[int, int], tuple[int, int]] = {}  # Each once, for there are few and the rules may be 100,000.
    for rule in policy.rules:
        if rule.profile is not None and rule.profile not in lineage:
            continue
        # A class never straddles a rule's vCPUs (prove checks it), so its first member speaks for all.
        if rule.vcpus is not None and not (vcpus and contains(rule.vcpus, vcpus[0][0])):
            continue
        generation = lineage.index(rule.profile) if rule.layer == LAYER_PROFILE and rule.profile is not None else 0
        rank = (rule.layer, generation)
        rules.append((ranks.setdefault(rank, rank), rule))
    return Reading(defaults, tuple(rules))


def judge(reading: Reading, access: Access, target: str) -> Verdict:
    """As evaluate, from rules already read."""
    if target not in TARGETS:
        raise ValueError(f"no target is named {target!r}")
    column = access.column
    last = MSR_LAST if column in (MSR_READ, MSR_WRITE) else PORT_LAST
    if not 0 <= access.address <= last:
        raise ValueError(f"address {access.address:#x} is outside 0..{last:#x}")
    if last == MSR_LAST:
        return _msr(reading, access, column, target)
    return _port(reading, access, column, target)


def _msr(reading: Reading, access: Access, column: int, target: str) -> Verdict:
    if target == "kvm" and X2APIC_FIRST <= access.address <= X2APIC_LAST:
        return Verdict(False, PASSTHROUGH, None, "x2apic-unfiltered", ())
    matching = _matching(reading, MSR, access.address)
    decision = _decide(matching, column, reading.defaults.msr, access)
    trap = _trap_bit(matching, column, reading.defaults.msr)
    place = None if target == "kvm" else msr_place(target, access.address, column == MSR_WRITE)
    if target != "kvm" and place is None:
        # Every MSR without a bit exits; only a rule speaks for it, the default for MSRs does not.
        if decision.rule is None:
            return Verdict(True, reading.defaults.outside, None, "outside-window", ())
        return Verdict(True, decision.actions, decision.rule.number, "rule", ())
    bits = () if place is None else (Bit(*place, int(trap)),)
    return _conclude(decision, trap, bits)


def _port(reading: Reading, access: Access, column: int, target: str) -> Verdict:
    decisions: list[_Decision] = []
    bits: list[Bit] = []
    traps: list[bool] = []
    for port in range(access.address, access.address + access.width):
        trap = port_traps(reading, port)
        if port <= PORT_LAST:
            decisions.append(_decide(_matching(reading, IO, port), column, reading.defaults.io, access))
            traps.append(trap)
        place = port_place(target, port)
        if place is not None:
            bits.append(Bit(*place, int(trap)))
    exits = port_exits(target, traps, access.width)
    decision = _strictest(decisions, access.width)
    if len(traps) < access.width and decision.actions[-1].name == "passthrough" and exits:
        return Verdict(True, EXIT, None, "past-last-port", tuple(bits))
    return _conclude(decision, exits, tuple(bits))


def port_traps(reading: Reading, port: int) -> bool:
    """Whether the bit of a port has to be set: hardware has one for all widths and both directions, so whether any
    port column traps. port: 0..65538; the IOPM's bits past the last port are set, so that SVM does what VMX does."""
    if port > PORT_LAST:
        return True
    matching = _matching(reading, IO, port)
    return any(_trap_bit(matching, column, reading.defaults.io) for column in IO_COLUMNS)


def port_exits(target: str, traps: Sequence[bool], width: int) -> bool:
    """Whether an access of 1, 2 or 4 bytes exits. traps: of the ports that it touches, lowest first, as port_traps
    has them; those past 0xffff left out, so there may be fewer than the width.

    Any of the bits makes it exit (Intel SDM vol. 3C 25.1.3; AMD APM vol. 2 15.10), and on VMX whatever they hold an
    access that wraps around the port space (25.1.3); on SVM such an access finds the set bits past the last port. KVM
    has no port policy: what no in-kernel device claims is KVM_EXIT_IO.
    """
    return target == "kvm" or len(traps) < width or any(traps)


def _conclude(decision: _Decision, exits: bool, bits: tuple[Bit, ...]) -> Verdict:
    if exits and not decision.traps:
        return Verdict(True, PASSTHROUGH, None, "shared-bit", bits)
    number = None if decision.rule is None else decision.rule.number
    return Verdict(exits, decision.actions, number, "default" if number is None else "rule", bits)


def _matching(reading: Reading, space: str, address: int) -> list[tuple[tuple[int, int], Rule]]:
    return [each for each in reading.rules if each[1].space == space and contains(each[1].ranges, address)]


def _decide(matching: list[tuple[tuple[int, int], Rule]], column: int, default: Default, access: Access) -> _Decision:
    """Rules 1 to 4 of the law for one MSR or one port."""
    in_force = [
        (rank, rule)
        for rank, rule in matching
        if rule.columns >> column & 1 and all(_holds(condition, access) for condition in rule.conditions)
    ]
    if not in_force:
        return _Decision(None, default.traps, default.actions if default.traps else PASSTHROUGH)
    winner = _winner(in_force)
    if winner.verb == "allow":
        return _Decision(winner, False, PASSTHROUGH)
    return _Decision(winner, True, winner.actions)


def _winner(in_force: list[tuple[tuple[int, int], Rule]]) -> Rule:
    """Rules 2 and 3 of the law: the highest layer, and in it an allow before what traps.

    Of those that still decide alike (a check has refused others) one is named: a conditional one before the rest, then
    the first written.
    """
    highest = max(rank for rank, _ in in_force)
    layer = [rule for rank, rule in in_force if rank == highest]
    side = [rule for rule in layer if rule.verb == "allow"] or layer
    return next((rule for rule in side if rule.conditions), side[0])


def chain(reading: Reading, column: int, address: int) -> tuple[int, ...]:
    """Numbers of the rules that one MSR or one port asks in a column, first asked first, up to one without conditions;
    DEFAULT_RULE last if there is none.

    Read off rule 4 of the law: a rule whose conditions do not hold is as if it were not there. So: who decides where
    all conditions hold; then, that rule struck out, who decides; and so on.
    """
    space = MSR if column in (MSR_READ, MSR_WRITE) else IO
    left = [each for each in _matching(reading, space, address) if each[1].columns >> column & 1]
    asked: list[int] = []
    while left:
        winner = _winner(left)
        asked.append(winner.number)
        if not winner.conditions:
            return tuple(asked)
        left = [each for each in left if each[1] is not winner]
    return (*asked, DEFAULT_RULE)


def _trap_bit(matching: list[tuple[tuple[int, int], Rule]], column: int, default: Default) -> bool:
    """Whether one MSR or port must trap in a column: whether any of the rules that may decide it traps.

    A condition is only known in the handler, so a conditional rule traps even where it will turn out not to hold, and
    the layers below it may still decide.
    """
    asked = [(rank, rule) for rank, rule in matching if rule.columns >> column & 1]
    for layer in sorted({rank for rank, _ in asked}, reverse=True):
        rules = [rule for rank, rule in asked if rank == layer]
        if any(rule.verb == "allow" and not rule.conditions for rule in rules):
            return False
        if any(rule.verb != "allow" for rule in rules):
            return True
    return default.traps


def _holds(condition: Condition, access: Access) -> bool:
    if condition.subject == "cpl":
        subject = access.cpl
    elif access.kind in ("rdmsr", "in"):
        return False  # A read carries no value in.
    else:
        subject = access.value & (1 << 8 * access.width) - 1
    return bool(_OPERATORS[condition.op](subject & condition.mask, condition.operand))


def _strictest(decisions: list[_Decision], width: int) -> _Decision:
    """Rule 5 of the law: the strictest of the bytes; of those one that reports the access; of equals the lowest port."""
    winner = decisions[0]
    for decision in decisions[1:]:
        ours, theirs = (STRICTNESS.index(each.actions[-1].name) for each in (decision, winner))
        reports_first = len(decision.actions) > 1 and len(winner.actions) == 1
        if ours > theirs or (ours == theirs and reports_first):
            winner = decision
    whole = len(decisions) == width and all(each.rule is winner.rule for each in decisions)
    if winner.actions[-1].name in _NEED_EVERY_BYTE and not whole:
        return winner._replace(actions=(*winner.actions[:-1], _DROP))
    return winner


def msr_place(target: str, msr: int, write: bool) -> tuple[str, int, int] | None:
    """Image, byte and bit of one MSR access on ``vmx`` or ``svm``; None for an MSR without a bit.

    VMX: four 1 KiB quarters of the 4 KiB page: read bitmap for low MSRs, read for high, write for low, write for high
    (Intel SDM vol. 3C, "MSR-Bitmap Address"). SVM: 2 KiB vectors of two bits an MSR, the lower one for reads (AMD APM
    vol. 2, 15.11).
    """
    if target == "vmx":
        if LOW_FIRST <= msr <= LOW_LAST:
            start, number = (2048 if write else 0), msr - LOW_FIRST
        elif HIGH_FIRST <= msr <= HIGH_LAST:
            start, number = (3072 if write else 1024), msr - HIGH_FIRST
        else:
            return None
        return "msr.bin", start + number // 8, number % 8
    for vector, (first, last) in enumerate(SVM_WINDOWS):
        if first <= msr <= last:
            bit = 2 * (msr - first) + (1 if write else 0)
            return "msrpm.bin", 2048 * vector + bit // 8, bit % 8
    return None


def port_place(target: str, port: int) -> tuple[str, int, int] | None:
    """Image, byte and bit of one port; None where the target has none (KVM; VMX past port 0xffff).

    VMX: bitmap A holds ports 0..0x7fff, B the rest; io.bin is A, then B, 4 KiB each (Intel SDM vol. 3C, "I/O-Bitmap
    Addresses"). SVM: one map; its bits 65536..65538 serve accesses past the last port (AMD APM vol. 2, 15.10).
    """
    if target == "vmx" and port <= PORT_LAST:
        page = 0 if port <= 0x7FFF else 4096
        return "io.bin", page + (port & 0x7FFF) // 8, port % 8
    if target == "svm":
        return "iopm.bin", port // 8, port % 8
    return None
