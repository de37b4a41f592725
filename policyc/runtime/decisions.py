"""From an access to the rule that speaks for it, as the exit handler decides it (templates/exit_handler/decide.c).

The decision lists of a manifest are those that the compile proved; here they become tables to look addresses up in.
"""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from policyc.bundle.read import Bundle
from policyc.runtime.words import actions, condition
from policyc.semantics.policy import DEFAULT_RULE, EXIT, STRICTNESS, Action, Actions, Condition
from policyc.vocabulary.access import (
    COLUMN_NAMES,
    COLUMN_WIDTHS,
    IN1,
    IO,
    MSR,
    MSR_WRITE,
    OUT1,
    PORT_LAST,
    column_space,
)
from policyc.vocabulary.diagnostic import UnreadableError
from policyc.vocabulary.intervals import Intervals, contains, normal

DROP = Action("drop")
_STRICT = {name: place for place, name in enumerate(STRICTNESS)}
_NEED_EVERY_BYTE = frozenset({"mask", "shadow", "const"})
_COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Decider(NamedTuple):
    """What may decide: a rule, or a default. number: position in the manifest's rules, DEFAULT_RULE for a default.

    title: ``vm.pol:9 com1``, or which default. traps: False for an ``allow``. ranges: what the rule names, and unit:
    bytes after which a shadowed value begins anew (0 for MSRs); both for shadow only.
    """

    number: int
    title: str
    traps: bool
    conditions: tuple[Condition, ...]
    actions: Actions
    ranges: Intervals = ()
    unit: int = 0


class Verdict(NamedTuple):
    """Who decides, and the last action: that of the decider, or drop where it gives no value for all bytes."""

    decider: Decider
    last: Action


class Question(NamedTuple):
    """Who is asked about one kind of access to one address. chains: of its bytes. past: it leaves the port space."""

    chains: tuple[tuple[Decider, ...], ...]
    write: bool
    past: bool

    @property
    def fixed(self) -> bool:
        """Whether no condition is asked, so that the verdict is always the same."""
        return all(len(each) == 1 for each in self.chains)


class Column(NamedTuple):
    """Runs of one column. starts: first address of each. chains: who is asked there, in order."""

    starts: Sequence[int]
    chains: Sequence[tuple[Decider, ...]]

    def chain(self, address: int) -> tuple[Decider, ...]:
        return self.chains[bisect_right(self.starts, address) - 1]


class Decisions:
    """What one profile says on one vCPU. windows: MSRs that have bits; None where there is no MSR bitmap (KVM)."""

    def __init__(self, bundle: Bundle, profile: str | None, vcpu: int, windows: Intervals | None) -> None:
        document = bundle.manifest.document
        number = variant_number(bundle, profile, vcpu)
        variant = document["variants"][number]
        self.profile = profile
        self.windows = windows
        rules = [decider_of(each) for each in document["rules"]]
        said = "" if profile is None else f" of profile {profile}"
        defaults = {key: actions(variant["defaults"][key]) for key in ("msr", "io", "outside")}
        self.msr_default = _default(f"default msr{said}", defaults["msr"])
        self.io_default = _default(f"default io{said}", defaults["io"])
        self.outside = _default(f"default msr outside{said}", defaults["outside"])
        self.past_last_port = _default("a port access that runs past 0xffff", EXIT)
        self.columns = tuple(self._column(document, variant, rules, column) for column in range(len(COLUMN_NAMES)))
        self.shadowing = _shadowing(bundle, rules, number)
        """Rules that shadow anything in any variant, those of this one first."""
        self.asks_cpl = any(each.subject == "cpl" for rule in rules for each in rule.conditions)
        """Whether any rule wants to know the privilege level, which KVM does not tell by itself."""

    def _column(
        self, document: Mapping[str, Any], variant: Mapping[str, Any], rules: list[Decider], column: int
    ) -> Column:
        default = self.msr_default if column_space(column) == MSR else self.io_default
        name = COLUMN_NAMES[column]
        if name not in variant["decisions"]:
            raise UnreadableError(f"manifest.json: variants have no decisions for {name}")
        runs = document["decisions"][variant["decisions"][name]]
        known: dict[tuple[int, ...], tuple[Decider, ...]] = {}
        chains = []
        for _, _, numbers in runs:
            key = tuple(numbers)
            if key not in known:
                known[key] = tuple(default if each == DEFAULT_RULE else rules[each] for each in key)
                if known[key][-1].conditions:
                    raise UnreadableError("manifest.json: a chain of rules ends in one that may not hold")
            chains.append(known[key])
        return Column([lo for lo, _, _ in runs], chains)

    def msr(self, index: int, write: bool, value: int, cpl: int) -> Verdict:
        """The verdict on RDMSR or WRMSR."""
        return self.judge(self.msr_question(index, write), value, cpl)

    def port(self, port: int, width: int, write: bool, value: int, cpl: int) -> Verdict:
        """The verdict on IN or OUT of 1, 2 or 4 bytes."""
        return self.judge(self.port_question(port, width, write), value, cpl)

    def msr_question(self, index: int, write: bool) -> Question:
        """Who is asked about RDMSR or WRMSR. An MSR without a bit exits always; its default is another one."""
        chain = self.columns[MSR_WRITE if write else 0].chain(index)
        if chain[-1] is self.msr_default and self.windows is not None and not contains(self.windows, index):
            chain = (*chain[:-1], self.outside)
        return Question((chain,), write, False)

    def port_question(self, port: int, width: int, write: bool) -> Question:
        """Who is asked about IN or OUT, byte by byte; neighbours that ask the same are one."""
        column = self.columns[(OUT1 if write else IN1) + width // 2]
        end = port + width - 1
        chains = [column.chain(port)]
        for each in range(port + 1, min(end, PORT_LAST) + 1):
            chain = column.chain(each)
            if chain is not chains[-1]:
                chains.append(chain)
        return Question(tuple(chains), write, end > PORT_LAST)

    def judge(self, question: Question, value: int, cpl: int) -> Verdict:
        """The strictest of the bytes; of equally strict ones one that is logged, counted or traced; of equals that of the
        lowest port. Whatever gives a value must decide every byte, else the access is dropped; one that runs past the
        last port is never passed on."""
        chains, write, past = question
        if len(chains) == 1:
            winner = _ask(chains[0], write, value, cpl)
            whole = not past
        else:
            asked = [_ask(each, write, value, cpl) for each in chains]
            winner = max(asked, key=_strictness)
            whole = not past and all(each is winner for each in asked)
        last = winner.actions[-1]
        if not whole:
            if last.name in _NEED_EVERY_BYTE:
                last = DROP
            elif past and last.name == "passthrough":
                winner, last = self.past_last_port, self.past_last_port.actions[-1]
        return Verdict(winner, last)

    def port_traps(self, port: int, width: int) -> bool:
        """Whether hardware would let the access exit: any touched port's bit, or the end of the space, asks for it."""
        return port + width - 1 > PORT_LAST or any(
            decider.traps
            for column in self.columns[2:]
            for each in range(port, port + width)
            for decider in column.chain(each)
        )

    def msr_traps(self, index: int, write: bool) -> bool:
        """Whether the access must exit, as far as the policy is asked."""
        return any(each.traps for each in self.columns[MSR_WRITE if write else 0].chain(index))


def variant_number(bundle: Bundle, profile: str | None, vcpu: int) -> int:
    """Position of a variant in the manifest. Raises UnreadableError for a profile that the bundle does not have."""
    for number, each in enumerate(bundle.manifest.variants):
        _, vcpus = bundle.manifest.vcpu_classes[each.vcpu_class]
        if each.profile == profile and any(lo <= vcpu <= hi for lo, hi in vcpus):
            return number
    known = list(dict.fromkeys(each.profile for each in bundle.manifest.variants))
    if profile in known:
        raise UnreadableError(f"the bundle has nothing for vCPU {vcpu}; vCPUs are numbered 0..4095")
    from policyc.vocabulary.near import nearest

    names = [each for each in known if each is not None]
    close = nearest(profile, names, 1) if profile is not None else []
    listed = f"it has {', '.join(names)}" if names else "it has no profiles"
    what = "the base policy" if profile is None else f"profile {profile!r}"
    raise UnreadableError(f"the bundle lacks {what}; {f'did you mean {close[0]}?' if close else listed}")


def _strictness(decider: Decider) -> tuple[int, bool]:
    return _STRICT[decider.actions[-1].name], len(decider.actions) > 1


def _ask(chain: tuple[Decider, ...], write: bool, value: int, cpl: int) -> Decider:
    """The first whose conditions hold; the last one of a chain has none."""
    for decider in chain:
        for each in decider.conditions:
            if not _holds(each, write, value, cpl):
                break
        else:
            return decider
    raise AssertionError("the last link has no conditions")


def _holds(asked: Condition, write: bool, value: int, cpl: int) -> bool:
    if asked.subject == "value" and not write:
        return False  # A read carries no value in.
    return bool(_COMPARE[asked.op]((cpl if asked.subject == "cpl" else value) & asked.mask, asked.operand))


def decider_of(rule: Mapping[str, Any]) -> Decider:
    """A rule of a manifest."""
    label = "" if rule["label"] is None else f" {rule['label']}"
    chain = actions(rule["actions"])
    ranges: Intervals = ()
    unit = 0
    if chain[-1].name == "shadow":
        ranges = normal((lo, hi) for lo, hi in rule["ranges"])
        if rule["space"] == IO:
            unit = min(COLUMN_WIDTHS[COLUMN_NAMES.index(each)] for each in rule["columns"])
    return Decider(
        rule["number"],
        f"{rule['file']}:{rule['line']}{label}",
        rule["verb"] != "allow",
        tuple(condition(each) for each in rule["conditions"]),
        chain,
        ranges,
        unit,
    )


def _default(title: str, chain: Actions) -> Decider:
    return Decider(DEFAULT_RULE, title, chain[-1].name != "passthrough", (), chain)


def _shadowing(bundle: Bundle, rules: Sequence[Decider], mine: int) -> tuple[tuple[str, Decider], ...]:
    """(space, rule) for the rules that shadow something in any variant; those that this variant uses come first."""
    document = bundle.manifest.document
    used: dict[int, bool] = {}
    for number, variant in enumerate(document["variants"]):
        for decisions in set(variant["decisions"].values()):
            for _, _, chain in document["decisions"][decisions]:
                for each in chain:
                    if each != DEFAULT_RULE and rules[each].ranges:
                        used[each] = used.get(each, False) or number == mine
    ordered = sorted(used, key=lambda each: (not used[each], each))
    return tuple((document["rules"][each]["space"], rules[each]) for each in ordered)
