"""One variant at a glance: merged intervals with their actions and rules, counts, and the exits nobody asked for."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from policyc.semantics.policy import (
    DEFAULT_RULE,
    PASSTHROUGH,
    Actions,
    Condition,
    DecisionMap,
    Default,
    Policy,
    Run,
    Variant,
)
from policyc.targets.traps import chain_traps, trapping, trapping_ports
from policyc.vocabulary.access import (
    COLUMN_WIDTHS,
    COLUMNS,
    IN_MASK,
    IO_COLUMNS,
    MSR_COLUMNS,
    MSR_WRITE,
    OUT_MASK,
    PORT_LAST,
    WIDTHS,
)
from policyc.vocabulary.intervals import Intervals, intersect, normal, size, subtract, union
from policyc.vocabulary.typed import NamedTuple


class Step(NamedTuple):
    """What one link of a chain does: the actions where all conditions hold, else the next step is asked."""

    conditions: tuple[Condition, ...]
    actions: Actions


class Stretch(NamedTuple):
    """Addresses lo..hi that fare alike in all the columns of the mask.

    traps: whether they exit. steps: asked in order; the last has no condition. rules: numbers of the rules that said so,
    ascending; DEFAULT_RULE (first) for the default.
    """

    lo: int
    hi: int
    columns: int
    traps: bool
    steps: tuple[Step, ...]
    rules: tuple[int, ...]


class Excess(NamedTuple):
    """Port accesses (a start port, a direction and a width; 393216 in all) that exit on VT-x and SVM although the
    policy passes them on: a port has one bit, and the exit handler must pass the access on itself.

    total = width + direction + past_last_port. past_last_port: the access runs past 0xffff. Of the others, width: a
    touched port traps in the same direction at another width; direction: one traps in the other direction only. by_column: total by column. by_rule: (rule number or DEFAULT_RULE, accesses that touch a port it traps),
    ascending; an access that touches ports of several rules counts for each.
    """

    total: int
    width: int
    direction: int
    past_last_port: int
    by_column: tuple[int, ...]
    by_rule: tuple[tuple[int, int], ...]


class Summary(NamedTuple):
    """msr, io: stretches in order of address, then of columns; together they cover every column's whole space.

    trapped: by column, how many addresses exit by the policy's own word. straddling: by column, how many wide accesses
    start at a port that the policy passes on and exit because they reach one that it traps, as rule 5 of the law has it;
    the handler sees them with the port they start at.
    """

    variant: Variant
    msr: tuple[Stretch, ...]
    io: tuple[Stretch, ...]
    trapped: tuple[int, ...]
    straddling: tuple[int, ...]
    excess: Excess


def summarise(policy: Policy, decisions: DecisionMap) -> Summary:
    """The summary of one variant. O(n log n) in the runs of its decision map."""
    traps = trapping(policy, decisions)
    return Summary(
        decisions.variant,
        _stretches(policy, decisions, MSR_COLUMNS, decisions.defaults.msr),
        _stretches(policy, decisions, IO_COLUMNS, decisions.defaults.io),
        tuple(size(each) for each in traps),
        tuple(
            0 if column <= MSR_WRITE else size(subtract(_starts(traps[column], COLUMN_WIDTHS[column]), traps[column]))
            for column in COLUMNS
        ),
        _excess(policy, decisions, traps),
    )


def _stretches(
    policy: Policy, decisions: DecisionMap, columns: tuple[int, ...], default: Default
) -> tuple[Stretch, ...]:
    masks: dict[tuple[int, int, tuple[Step, ...], bool, tuple[int, ...]], int] = {}
    merged: dict[int, list[tuple[int, int, tuple[Step, ...], bool, tuple[int, ...]]]] = {}
    for column in columns:
        runs = decisions.columns[column]
        if id(runs) not in merged:  # Columns that nothing tells apart share their runs.
            merged[id(runs)] = _merged(policy, runs, default)
        for each in merged[id(runs)]:
            masks[each] = masks.get(each, 0) | 1 << column
    found = (Stretch(lo, hi, mask, traps, steps, rules) for (lo, hi, steps, traps, rules), mask in masks.items())
    return tuple(sorted(found, key=lambda each: (each.lo, each.columns, each.hi)))


def _merged(
    policy: Policy, runs: tuple[Run, ...], default: Default
) -> list[tuple[int, int, tuple[Step, ...], bool, tuple[int, ...]]]:
    """The runs, with neighbours of equal outcome joined whatever rules they come from."""
    known: dict[tuple[int, ...], tuple[tuple[Step, ...], bool]] = {}
    out: list[tuple[int, int, tuple[Step, ...], bool, tuple[int, ...]]] = []
    first, last, rules = 0, -1, set[int]()
    outcome: tuple[tuple[Step, ...], bool] = ((), False)
    for lo, hi, chain in runs:
        if chain not in known:
            known[chain] = (
                tuple(_step(policy, number, default) for number in chain),
                chain_traps(policy.rules, chain, default.traps),
            )
        if last >= 0 and known[chain] != outcome:
            out.append((first, last, *outcome, tuple(sorted(rules))))
            first, rules = lo, set()
        last, outcome = hi, known[chain]
        rules.update(chain)
    out.append((first, last, *outcome, tuple(sorted(rules))))
    return out


def _step(policy: Policy, number: int, default: Default) -> Step:
    if number == DEFAULT_RULE:
        return Step((), default.actions if default.traps else PASSTHROUGH)
    rule = policy.rules[number]
    return Step(rule.conditions, rule.actions)


def _starts(ports: Intervals, width: int) -> Intervals:
    """Ports at which an access of this width starts that touches one of the ports."""
    wider = [(max(lo - width + 1, 0), hi) for lo, hi in ports]
    return tuple(wider) if len(wider) < 2 or width == 1 else normal(wider)


def _excess(policy: Policy, decisions: DecisionMap, traps: tuple[Intervals, ...]) -> Excess:
    bits = trapping_ports(traps)
    by_column, width_, past = [0] * len(COLUMNS), 0, 0
    shared: dict[int, Intervals] = {}
    for column in IO_COLUMNS:
        width = COLUMN_WIDTHS[column]
        asked = _starts(traps[column], width)
        beyond = subtract(((PORT_LAST + 2 - width, PORT_LAST),), asked) if width > 1 else ()
        shared[column] = subtract(subtract(_starts(bits, width), asked), beyond)
        same = IN_MASK if IN_MASK >> column & 1 else OUT_MASK
        way = union(*(traps[each] for each in IO_COLUMNS if same >> each & 1))
        width_ += size(intersect(shared[column], _starts(way, width)))
        past += size(beyond)
        by_column[column] = size(shared[column]) + size(beyond)
    total = sum(by_column)
    return Excess(total, width_, total - width_ - past, past, tuple(by_column), _by_rule(policy, decisions, shared))


def _by_rule(policy: Policy, decisions: DecisionMap, shared: dict[int, Intervals]) -> tuple[tuple[int, int], ...]:
    """How many of the accesses in shared (by column) touch a port that a rule, or the default, traps."""
    if not any(shared.values()):
        return ()
    ports: dict[int, list[tuple[int, int]]] = {}
    for runs in {id(decisions.columns[column]): decisions.columns[column] for column in IO_COLUMNS}.values():
        for lo, hi, chain in runs:
            for number in chain:
                if decisions.defaults.io.traps if number == DEFAULT_RULE else policy.rules[number].traps:
                    ports.setdefault(number, []).append((lo, hi))
    counters = {column: _Counter(some) for column, some in shared.items() if some}
    out = []
    for number in sorted(ports):
        trapped = normal(ports[number]) if len(ports[number]) > 1 else tuple(ports[number])
        starts = {width: _starts(trapped, width) for width in WIDTHS}
        count = sum(
            counter.within(lo, hi) for column, counter in counters.items() for lo, hi in starts[COLUMN_WIDTHS[column]]
        )
        if count:
            out.append((number, count))
    return tuple(out)


class _Counter:
    """Counts the members of a set inside a range in O(log n)."""

    def __init__(self, members: Intervals) -> None:
        self.members = members
        self.lows = [lo for lo, _ in members]
        self.before = [0, *accumulate(hi - lo + 1 for lo, hi in members)]

    def within(self, lo: int, hi: int) -> int:
        return self._up_to(hi) - self._up_to(lo - 1)

    def _up_to(self, value: int) -> int:
        index = bisect_right(self.lows, value)
        if index == 0:
            return 0
        return self.before[index] - max(0, self.members[index - 1][1] - value)
