"""Port accesses that exit although the policy passes them on, and which rules' bits they find.

A set of ports is one number here, port n at bit n.
"""

from __future__ import annotations

from collections.abc import Mapping

from policyc.proof.rows import PORTS, exits
from policyc.semantics.policy import DecisionMap, Policy
from policyc.targets.traps import bitmap, trapping
from policyc.vocabulary.access import COLUMN_WIDTHS, COLUMNS, IN_MASK, IO_COLUMNS, OUT_MASK, WIDTHS
from policyc.vocabulary.intervals import Intervals, normal
from policyc.vocabulary.typed import NamedTuple


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


def excess(policy: Policy, decisions: DecisionMap) -> Excess:
    """Of one variant. O(n log n) in the runs of its decision map."""
    traps = {
        column: port_set(ports)
        for column, ports in zip(IO_COLUMNS, trapping(policy, decisions, IO_COLUMNS), strict=True)
    }
    ways = {mask: _any(traps, mask) for mask in (IN_MASK, OUT_MASK)}
    bits = ways[IN_MASK] | ways[OUT_MASK]
    by_column, width_, past = [0] * len(COLUMNS), 0, 0
    shared: dict[int, int] = {}
    for column in IO_COLUMNS:
        width = COLUMN_WIDTHS[column]
        passed = ~exits(traps[column], width, False)
        beyond = exits(0, width, True) & passed
        shared[column] = exits(bits, width, False) & passed & ~beyond
        way = ways[IN_MASK if IN_MASK >> column & 1 else OUT_MASK]
        width_ += (shared[column] & exits(way, width, False)).bit_count()
        past += beyond.bit_count()
        by_column[column] = shared[column].bit_count() + beyond.bit_count()
    total = sum(by_column)
    return Excess(total, width_, total - width_ - past, past, tuple(by_column), _by_rule(policy, decisions, shared))


def port_set(ports: Intervals) -> int:
    return int.from_bytes(bitmap(ports, 0, PORTS), "little")


def _any(traps: Mapping[int, int], mask: int) -> int:
    out = 0
    for column, ports in traps.items():
        if mask >> column & 1:
            out |= ports
    return out


def _by_rule(policy: Policy, decisions: DecisionMap, shared: Mapping[int, int]) -> tuple[tuple[int, int], ...]:
    """How many of the accesses in shared (by column) touch a port that a rule, or the default, traps."""
    counted = [(COLUMN_WIDTHS[column], some) for column, some in shared.items() if some]
    if not counted:
        return ()
    traps = [*(rule.traps for rule in policy.rules), decisions.defaults.io.traps]
    ports: dict[int, list[tuple[int, int]]] = {}
    for runs in {id(decisions.columns[column]): decisions.columns[column] for column in IO_COLUMNS}.values():
        for lo, hi, chain in runs:
            for number in chain:
                if traps[number]:  # DEFAULT_RULE is -1, so the default stands last.
                    ports.setdefault(number, []).append((lo, hi))
    out = []
    for number in sorted(ports):
        starts = {width: _starts(ports[number], width) for width in WIDTHS}
        count = 0
        for width, some in counted:
            for lo, hi in starts[width]:
                count += (some >> lo & (1 << hi - lo + 1) - 1).bit_count()
        if count:
            out.append((number, count))
    return tuple(out)


def _starts(ports: list[tuple[int, int]], width: int) -> Intervals:
    """Ports at which an access of this width starts that touches one of the ports."""
    wider = [(lo - width + 1 if lo >= width else 0, hi) for lo, hi in ports]
    return tuple(wider) if len(wider) == 1 else normal(wider)
