"""One variant at a glance: merged intervals with their actions and rules, counts, and the exits nobody asked for."""

from __future__ import annotations

from policyc.analyses.excess import Excess, excess, port_set
from policyc.proof.rows import exits
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
from policyc.targets.traps import chain_traps, trapping
from policyc.vocabulary.access import (
    COLUMN_WIDTHS,
    COLUMNS,
    IO_COLUMNS,
    MSR_COLUMNS,
    MSR_WRITE,
)
from policyc.vocabulary.intervals import Intervals, size
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
        tuple(0 if column <= MSR_WRITE else _straddling(traps[column], COLUMN_WIDTHS[column]) for column in COLUMNS),
        excess(policy, decisions),
    )


def _straddling(traps: Intervals, width: int) -> int:
    ports = port_set(traps)
    return (exits(ports, width, False) & ~ports).bit_count()


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
