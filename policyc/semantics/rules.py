"""One rule, assertion or ``never allow``: its addresses, columns, conditions, vCPUs and actions."""

from __future__ import annotations

from policyc.semantics import actions as table
from policyc.semantics.conditions import certain, contradictory, subject_bits
from policyc.semantics.policy import (
    EXIT,
    LAYER_IMPORT,
    LAYER_MAIN,
    LAYER_OVERRIDE,
    LAYER_PROFILE,
    PASSTHROUGH,
    VECTORS,
    Action,
    Actions,
    Assertion,
    Condition,
    Never,
    Rule,
)  # fmt: skip
from policyc.semantics.scope import Scope
from policyc.syntax import tree
from policyc.vocabulary import intervals
from policyc.vocabulary.access import (
    COLUMNS,
    IN_MASK,
    IO,
    IO_MASK,
    MSR,
    MSR_MASK,
    MSR_READ,
    MSR_WRITE,
    OUT_MASK,
    VCPU_LAST,
    WIDTH_MASKS,
    WIDTHS,
)  # fmt: skip
from policyc.vocabulary.diagnostic import Diagnostic, Edit, Fix, Label, error
from policyc.vocabulary.intervals import Intervals
from policyc.vocabulary.span import Span
from policyc.vocabulary.typed import NamedTuple

ACCESS = {
    MSR: {"read": 1 << MSR_READ, "write": 1 << MSR_WRITE, "rw": MSR_MASK},
    IO: {"in": IN_MASK, "out": OUT_MASK, "inout": IO_MASK},
}
_TRANSLATED = {"read": "in", "write": "out", "rw": "inout", "in": "read", "out": "write", "inout": "rw"}
_READS = 1 << MSR_READ | IN_MASK
_GP: Actions = (Action("inject", (("vector", VECTORS["gp"]),)),)

MOST_CONDITIONS = 16
"""Joined by ``and`` in one rule."""


class Sink(NamedTuple):
    """Where what was read goes. handlers: C function to the space it serves and the place that says so."""

    rules: list[Rule]
    asserts: list[Assertion]
    nevers: list[Never]
    handlers: dict[str, tuple[str, Span]]
    problems: list[Diagnostic]


class RuleReader:
    """Reads the statements of one file. module: its number in Policy.modules, 0 for the main file."""

    def __init__(self, scope: Scope, module: int, sink: Sink) -> None:
        self.scope = scope
        self.module = module
        self.sink = sink
        self.problems = sink.problems
        self.labels: dict[str, Span] = {}

    def read(self, node: tree.Rule | tree.Assert | tree.Never, profile: str | None) -> None:
        """One statement into the sink; a wrong one only into its problems. profile: the one it stands in, if any."""
        before = len(self.problems)
        space = node.space.text
        ranges = self.scope.items(space, node.items, node.excepts, self.problems)
        columns = self.columns(space, node.access, () if isinstance(node, tree.Never) else node.widths)
        if isinstance(node, tree.Rule):
            self.rule(node, profile, ranges, columns, before)
            return
        expected = None
        if isinstance(node, tree.Assert) and node.actions is not None:
            expected = table.read_actions(node.actions, self.scope.number, self.problems)
        if ranges is None or self.failed(before):
            return
        if isinstance(node, tree.Never):
            self.sink.nevers.append(Never(space, ranges, columns, profile, self.module, node.span))
        else:
            self.sink.asserts.append(
                Assertion(node.negated, node.kind, space, ranges, columns, expected, profile, self.module, node.span)
            )

    def failed(self, before: int) -> bool:
        return any(each.severity == "error" for each in self.problems[before:])

    def rule(self, node: tree.Rule, profile: str | None, ranges: Intervals | None, columns: int, before: int) -> None:
        conditions, columns = self.conditions(node, columns)
        vcpus = None if node.vcpus is None else self.vcpus(node.vcpus)
        actions = self.actions(node, ranges or (), columns)
        self.label(node)
        if ranges is None or actions is None or self.failed(before):
            return
        layer = LAYER_MAIN if self.module == 0 else LAYER_IMPORT
        if profile is not None:
            layer = LAYER_PROFILE
        if node.override is not None:
            layer = LAYER_OVERRIDE
        self.sink.rules.append(
            Rule(
                len(self.sink.rules), node.verb.text, node.space.text, ranges, columns, conditions, vcpus, actions,
                layer, profile, self.module, None if node.label is None else node.label.text, node.doc, node.items.span,
                node.span,
            )
        )  # fmt: skip

    # accesses

    def columns(self, space: str, access: tree.Word | None, widths: tuple[tree.Expr, ...]) -> int:
        """The mask of columns that an access word and widths name; E051, E052, E053."""
        columns = MSR_MASK if space == MSR else IO_MASK
        if access is not None and access.text not in ACCESS[space]:
            say = _TRANSLATED[access.text]
            have, want = ("ports", "MSRs") if space == MSR else ("MSRs", "ports")
            self.problems.append(
                error(
                    "E051",
                    f"`{access.text}` is for {have}",
                    access.span,
                    f"{want} are meant here",
                    helps=(f"for {want} say `{say}`",),
                    fixes=(Fix(f"write `{say}`", (Edit(access.span, say),), safe=True),),
                )
            )
        elif access is not None:
            columns = ACCESS[space][access.text]
        if not widths:
            return columns
        if space == MSR:
            said = "MSR accesses have no width"
            self.problems.append(error("E053", said, widths[0].span, "always 64 bits", helps=("leave `width` out",)))
            return columns
        chosen = 0
        for each in widths:
            width = self.scope.number(each, self.problems)
            if width is not None and width not in WIDTHS:
                said = f"an IN or OUT has 1, 2 or 4 bytes, not {width}"
                self.problems.append(error("E052", said, each.span, helps=("say `width 1`, `width 2` or `width 4`",)))
            chosen |= WIDTH_MASKS.get(width or 0, 0)
        return columns & (chosen or columns)

    def vcpus(self, items: tree.Items) -> Intervals | None:
        """vCPU numbers 0..4095; E021, E024, E025."""
        found = []
        for item in items.items:
            if isinstance(item, tree.Single):
                lo = hi = self.scope.number(item.value, self.problems)
            elif isinstance(item, tree.Range):
                lo, hi = self.scope.number(item.lo, self.problems), self.scope.number(item.hi, self.problems)
            else:
                lo, size = self.scope.number(item.base, self.problems), self.scope.number(item.size, self.problems)
                hi = None if lo is None or size is None else lo + size - 1
                if size == 0:
                    said = "a length of 0 covers nothing"
                    self.problems.append(error("E024", said, item.size.span, helps=("delete the item",)))
                    continue
            if lo is None or hi is None:
                continue
            if lo > hi:
                helps = (f"write {hi}..{lo}",)
                said = f"vCPUs start at {lo} but end at {hi}"
                self.problems.append(error("E021", said, item.span, "empty: the low end must come first", helps=helps))
            elif hi > VCPU_LAST:
                said = f"vCPU {hi} is above {VCPU_LAST}, the last one"
                self.problems.append(error("E025", said, item.span, helps=(f"vCPUs are 0..{VCPU_LAST}",)))
            else:
                found.append((lo, hi))
        return intervals.normal(found)

    # conditions

    def conditions(self, node: tree.Rule, columns: int) -> tuple[tuple[Condition, ...], int]:
        """The conditions, and the columns that can meet them: a read carries no value, a byte no word. E068."""
        if len(node.conditions) > MOST_CONDITIONS:
            said = f"a rule has at most {MOST_CONDITIONS} conditions"
            at = node.conditions[MOST_CONDITIONS].span
            self.problems.append(error("E004", said, at, helps=("ask for several bits at once: value & 0xf0 == 0x30",)))
            return (), columns
        made = [each for each in map(self.condition, node.conditions) if each is not None]
        if not made or len(made) < len(node.conditions):
            return (), columns
        wanted = columns
        if any(each.subject == "value" for each in made):
            columns &= ~_READS
            if not columns:
                said = "reads carry no value, so this condition can never hold"
                self.problems.append(error("E068", said, node.conditions[0].span, helps=("say `write` or `out`",)))
                return (), wanted
        met = sum(1 << each for each in COLUMNS if columns >> each & 1 and not contradictory(made, each))
        span = node.conditions[0].span.to(node.conditions[-1].span)
        if not met:
            helps = ("the bits outside a mask are 0, and a value has the width of its access",)
            self.problems.append(error("E068", "this condition can never hold", span, helps=helps))
            return (), wanted
        for written, each in zip(node.conditions, made, strict=True):
            if all(certain(each, subject_bits(each, column)) for column in COLUMNS if met >> column & 1):
                said = "this condition always holds"
                self.problems.append(error("E068", said, written.span, helps=("leave it out",)))
        return tuple(made), met

    def condition(self, node: tree.Condition) -> Condition | None:
        mask = table.U64 if node.mask is None else self.scope.number(node.mask, self.problems)
        operand = self.scope.number(node.operand, self.problems)
        if mask is None or operand is None:
            return None
        return Condition(node.subject.text, mask, node.op, operand)

    # actions

    def actions(self, node: tree.Rule, ranges: Intervals, columns: int) -> Actions | None:
        verb = node.verb.text
        if verb == "allow":
            if node.actions is None:
                return PASSTHROUGH
            said = "what is allowed does not exit, so nothing can be done with it"
            helps = ("say `intercept ... -> ..., passthrough` to act and then pass it on",)
            self.problems.append(error("E061", said, node.actions[0].span, helps=helps))
            return None
        if verb == "deny" and node.space.text == IO:
            said = "`deny` raises #GP, which no port access does on real hardware"
            helps = ("say `intercept io ... -> drop`: reads give all ones, writes are ignored",)
            self.problems.append(error("E061", said, node.verb.span, helps=helps))
            return None
        final = _GP if verb == "deny" else EXIT
        if node.actions is None:
            return final
        found = table.read_actions(node.actions, self.scope.number, self.problems, final=final)
        if found is None:
            return None
        if verb == "deny" and found[-1].name != "inject":
            said = f"`deny` injects an exception, and `{found[-1].name}` does not"
            self.problems.append(error("E061", said, node.actions[-1].span, helps=("say `intercept`",)))
            return None
        unreadable = self.unreadable(found[-1], ranges) if node.space.text == MSR else None
        self.problems += table.mistakes(found, node.actions, columns, intervals.size(ranges), unreadable)
        if found[-1].name == "forward":
            self.handler(found[-1].handler(), node.space.text, node.actions[-1].span)
        return found

    def unreadable(self, action: Action, ranges: Intervals) -> str | None:
        """The first MSR of the ranges that the database says cannot be read, as `NAME (0x49)`."""
        if action.name != "mask":
            return None
        database = self.scope.database
        for lo, hi in ranges:
            for index in range(lo, min(hi, lo + 4096) + 1):
                if database.msr_unreadable(index):
                    return f"`{database.msr_name(index)}` ({index:#x})"
        return None

    def handler(self, name: str, space: str, span: Span) -> None:
        known, first = self.sink.handlers.setdefault(name, (space, span))
        if known != space:
            there = "MSRs" if known == MSR else "ports"
            said = f"the handler `{name}` already serves {there}, which have another signature"
            self.problems.append(error("E071", said, span, secondary=(Label(first, "here"),), helps=("use two names",)))

    def label(self, node: tree.Rule) -> None:
        if node.label is None:
            return
        first = self.labels.setdefault(node.label.text, node.label.span)
        if first is not node.label.span:
            said = f"the label `{node.label.text}` is used twice"
            self.problems.append(
                error(
                    "E071", said, node.label.span, secondary=(Label(first, "first used here"),), helps=("rename one",)
                )
            )
