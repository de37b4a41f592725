"""One variant at a glance: merged intervals with their actions and rules, counts, and the exits nobody asked for."""

from __future__ import annotations

from collections.abc import Sequence

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
    msr, io = Stretcher(policy).stretches(decisions)
    return Summary(
        decisions.variant,
        msr,
        io,
        tuple(size(each) for each in traps),
        tuple(0 if column <= MSR_WRITE else _straddling(traps[column], COLUMN_WIDTHS[column]) for column in COLUMNS),
        excess(policy, decisions),
    )


def _straddling(traps: Intervals, width: int) -> int:
    ports = port_set(traps)
    return (exits(ports, width, False) & ~ports).bit_count()


_Told = tuple[bool, tuple[Step, ...]]
_Piece = tuple[int, int, int, tuple[int, ...]]
"""Addresses lo..hi, the number of what is told of them, and the rules that said so."""


class Stretcher:
    """Joins the runs of one policy's variants to stretches. What their chains say is worked out once for all of them."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._told: list[_Told] = []
        self._numbers: dict[_Told, int] = {}
        self._chains: dict[tuple[bool, Actions], dict[tuple[int, ...], int]] = {}

    def stretches(self, decisions: DecisionMap) -> tuple[tuple[Stretch, ...], tuple[Stretch, ...]]:
        """Those of the MSRs and those of the ports, as Summary has them."""
        defaults = decisions.defaults
        return self._space(decisions, MSR_COLUMNS, defaults.msr), self._space(decisions, IO_COLUMNS, defaults.io)

    def _space(self, decisions: DecisionMap, columns: tuple[int, ...], default: Default) -> tuple[Stretch, ...]:
        alike: dict[int, int] = {}  # Columns that nothing tells apart share their runs.
        for column in columns:
            at = id(decisions.columns[column])
            alike[at] = alike.get(at, 0) | 1 << column
        masks: dict[_Piece, int] = {}
        for mask in alike.values():
            lowest = (mask & -mask).bit_length() - 1
            for piece in self._merged(decisions.columns[lowest], default):
                masks[piece] = masks.get(piece, 0) | mask
        ordered = sorted((lo, mask, hi, told, rules) for (lo, hi, told, rules), mask in masks.items())
        return tuple(Stretch(lo, hi, mask, *self._told[told], rules) for lo, mask, hi, told, rules in ordered)

    def _merged(self, runs: tuple[Run, ...], default: Default) -> list[_Piece]:
        """The runs, with neighbours of equal outcome joined whatever rules they come from."""
        known = self._chains.setdefault((default.traps, default.actions), {})
        out: list[_Piece] = []
        first, last, told, chains = 0, -1, -1, list[tuple[int, ...]]()
        for lo, hi, chain in runs:
            number = known.get(chain)
            if number is None:
                number = known[chain] = self._number(chain, default)
            if number != told:
                if last >= 0:
                    out.append((first, last, told, _rules(chains)))
                first, told, chains = lo, number, []
            last = hi
            chains.append(chain)
        out.append((first, last, told, _rules(chains)))
        return out

    def _number(self, chain: tuple[int, ...], default: Default) -> int:
        traps = chain_traps(self._policy.rules, chain, default.traps)
        told = (traps, tuple(_step(self._policy, number, default) for number in chain))
        number = self._numbers.setdefault(told, len(self._told))
        if number == len(self._told):
            self._told.append(told)
        return number


def _rules(chains: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The rules of the chains, ascending."""
    if len(chains) == 1 and len(chains[0]) == 1:
        return chains[0]
    return tuple(sorted({number for chain in chains for number in chain}))


def _step(policy: Policy, number: int, default: Default) -> Step:
    if number == DEFAULT_RULE:
        return Step((), default.actions if default.traps else PASSTHROUGH)
    rule = policy.rules[number]
    return Step(rule.conditions, rule.actions)
