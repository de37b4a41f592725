"""A decision map as a person would list it: ranges that are decided alike, with the accesses they are decided for."""

from __future__ import annotations

from typing import NamedTuple

from policyc.analyses.images import Exits
from policyc.semantics.policy import DEFAULT_RULE, DecisionMap, Policy, Run
from policyc.vocabulary.access import IO_COLUMNS, MSR, MSR_COLUMNS, MSR_READ, MSR_WRITE
from policyc.vocabulary.intervals import Intervals, intersect, subtract

Chain = tuple[int, ...]


class Row(NamedTuple):
    """Addresses lo..hi. columns: mask of the accesses meant. chain: the rules asked, first to last; the last decides
    where no condition of the others holds. For an image it is empty: an image knows that it exits, and not why."""

    lo: int
    hi: int
    columns: int
    chain: Chain


def rows(decisions: DecisionMap, space: str) -> tuple[Row, ...]:
    """What rules decide, in the order of addresses; where only the default speaks there is no row."""
    columns = MSR_COLUMNS if space == MSR else IO_COLUMNS
    cuts = sorted({run.lo for column in columns for run in decisions.columns[column]})
    last = decisions.columns[columns[0]][-1].hi
    places = {column: _Walk(decisions.columns[column]) for column in columns}
    open_rows: dict[tuple[int, Chain], Row] = {}
    done: list[Row] = []
    for lo, after in zip(cuts, [*cuts[1:], last + 1], strict=True):
        masks: dict[Chain, int] = {}
        for column in columns:
            chain = places[column].at(lo)
            if chain != (DEFAULT_RULE,):
                masks[chain] = masks.get(chain, 0) | 1 << column
        now = {(mask, chain) for chain, mask in masks.items()}
        done += [row for key, row in open_rows.items() if key not in now]
        open_rows = {
            key: open_rows[key]._replace(hi=after - 1) if key in open_rows else Row(lo, after - 1, *key) for key in now
        }
    return tuple(sorted([*done, *open_rows.values()]))


class _Walk:
    """The runs of one column, asked at growing addresses."""

    def __init__(self, runs: tuple[Run, ...]) -> None:
        self.runs = runs
        self.index = 0

    def at(self, address: int) -> Chain:
        while self.runs[self.index].hi < address:
            self.index += 1
        return self.runs[self.index].chain


def image_rows(exits: Exits) -> tuple[Row, ...]:
    """What exits under an image."""
    if exits.ports is not None:
        every = sum(1 << column for column in IO_COLUMNS)
        return tuple(Row(lo, hi, every, ()) for lo, hi in exits.ports)
    read, write = exits.read or (), exits.write or ()
    parts: list[tuple[Intervals, int]] = [
        (intersect(read, write), 1 << MSR_READ | 1 << MSR_WRITE),
        (subtract(read, write), 1 << MSR_READ),
        (subtract(write, read), 1 << MSR_WRITE),
    ]
    return tuple(sorted(Row(lo, hi, columns, ()) for ranges, columns in parts for lo, hi in ranges))


def may_exit(policy: Policy, decisions: DecisionMap, column: int) -> Intervals:
    """Addresses at which an access of the column traps by the policy's own words, whatever a target makes of it."""
    from policyc.targets.traps import trapping

    return trapping(policy, decisions)[column]
