"""What traps in a decision map, as interval sets, and bitmaps made of them."""

from __future__ import annotations

from policyc.semantics.policy import DEFAULT_RULE, DecisionMap, Policy, Rule, Run
from policyc.vocabulary.access import COLUMNS, IO_COLUMNS, MSR_WRITE
from policyc.vocabulary.intervals import Intervals, union


def chain_traps(rules: tuple[Rule, ...], chain: tuple[int, ...], default: bool) -> bool:
    """Whether an access must exit: whether any rule that may decide it traps (only the handler sees conditions)."""
    return any(default if number == DEFAULT_RULE else rules[number].traps for number in chain)


def trapping(policy: Policy, decisions: DecisionMap, columns: tuple[int, ...] = COLUMNS) -> tuple[Intervals, ...]:
    """The addresses that must exit, for each of the columns. O(n) in the runs; columns with common runs share the work."""
    rules = [rule.traps for rule in policy.rules]
    seen: dict[tuple[int, bool], Intervals] = {}
    out = []
    for column in columns:
        default = decisions.defaults.msr.traps if column <= MSR_WRITE else decisions.defaults.io.traps
        key = (id(decisions.columns[column]), default)
        if key not in seen:
            # DEFAULT_RULE is -1, so the default stands last.
            seen[key] = _trapping_runs([*rules, default], decisions.columns[column])
        out.append(seen[key])
    return tuple(out)


def trapping_ports(traps: tuple[Intervals, ...]) -> Intervals:
    """Ports whose bit is set: hardware has one bit for both directions and all widths. traps: by column, of ``trapping``."""
    return union(*{traps[column] for column in IO_COLUMNS})


def bitmap(intervals: Intervals, first: int, count: int) -> bytearray:
    """Bit i (of byte i/8, from the lowest) is set iff first + i is a member. count: bits, a multiple of 8."""
    data = bytearray(count // 8)
    last = first + count - 1
    for lo, hi in intervals:
        if hi >= first and lo <= last:
            _fill(data, max(lo, first) - first, min(hi, last) - first)
    return data


def _fill(data: bytearray, lo: int, hi: int) -> None:
    """Set bits lo..hi. O(1) but for the copy of the bytes between the ends."""
    first, last = lo >> 3, hi >> 3
    head, tail = 0xFF << (lo & 7) & 0xFF, 0xFF >> (7 - (hi & 7))
    if first == last:
        data[first] |= head & tail
        return
    data[first] |= head
    data[first + 1 : last] = b"\xff" * (last - first - 1)
    data[last] |= tail


def _trapping_runs(flags: list[bool], runs: tuple[Run, ...]) -> Intervals:
    """flags: whether a rule traps, by its number; the default's last."""
    out: list[tuple[int, int]] = []
    for lo, hi, chain in runs:
        if flags[chain[0]] or (len(chain) > 1 and any(flags[number] for number in chain)):
            # Runs are sorted and without gap, so only a direct neighbour can join.
            if out and out[-1][1] == lo - 1:
                out[-1] = (out[-1][0], hi)
            else:
                out.append((lo, hi))
    return tuple(out)
