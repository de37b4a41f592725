"""What traps in a decision map: interval sets, the little that images are made of, and bitmaps."""

from __future__ import annotations

from policyc.semantics.policy import DEFAULT_RULE, DecisionMap, Policy, Rule, Run
from policyc.vocabulary.access import COLUMNS, IO_COLUMNS, MSR_COLUMNS, MSR_WRITE
from policyc.vocabulary.intervals import Intervals, union
from policyc.vocabulary.typed import NamedTuple


class Traps(NamedTuple):
    """All that the images of a variant say, so that equal values have equal images.

    read, write: MSRs whose RDMSR and whose WRMSR must exit. ports: bit p is set iff port p must exit; hardware has one
    bit for both directions and all widths. other_ports: whether a port exits that no rule names.
    """

    read: Intervals
    write: Intervals
    ports: int
    other_ports: bool


def chain_traps(rules: tuple[Rule, ...], chain: tuple[int, ...], default: bool) -> bool:
    """Whether an access must exit: whether any rule that may decide it traps (only the handler sees conditions)."""
    return any(default if number == DEFAULT_RULE else rules[number].traps for number in chain)


def traps_of(policy: Policy, decisions: DecisionMap) -> Traps:
    """What the images of one variant say."""
    return TrapReader(policy).traps(decisions)


def trapping(policy: Policy, decisions: DecisionMap, columns: tuple[int, ...] = COLUMNS) -> tuple[Intervals, ...]:
    """The addresses that must exit, for each of the columns. O(n) in the runs; columns with common runs share the work."""
    reader = TrapReader(policy)
    return tuple(reader.addresses(decisions, column) for column in columns)


class TrapReader:
    """Reads the decision maps of one policy. Runs that columns or variants have in common are read once."""

    def __init__(self, policy: Policy) -> None:
        rules = [rule.verb != "allow" for rule in policy.rules]
        # DEFAULT_RULE is -1, so the default stands last.
        self._flags = {default: [*rules, default] for default in (False, True)}
        self._addresses: dict[tuple[int, bool], tuple[tuple[Run, ...], Intervals]] = {}
        self._ports: dict[tuple[int, bool], tuple[tuple[Run, ...], int]] = {}

    def traps(self, decisions: DecisionMap) -> Traps:
        read, write = (self.addresses(decisions, column) for column in MSR_COLUMNS)
        ports, default = 0, decisions.defaults.io.traps
        for runs in {id(each): each for each in map(decisions.columns.__getitem__, IO_COLUMNS)}.values():
            key = (id(runs), default)
            if key not in self._ports:
                self._ports[key] = runs, _port_bits(self._flags[default], runs)
            ports |= self._ports[key][1]
        return Traps(read, write, ports, default)

    def addresses(self, decisions: DecisionMap, column: int) -> Intervals:
        """The addresses of one column that must exit."""
        runs = decisions.columns[column]
        default = decisions.defaults.msr.traps if column <= MSR_WRITE else decisions.defaults.io.traps
        key = (id(runs), default)
        if key not in self._addresses:  # The runs are kept as well, lest others get their id.
            self._addresses[key] = runs, _trapping_runs(self._flags[default], runs)
        return self._addresses[key][1]


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


def _port_bits(flags: list[bool], runs: tuple[Run, ...]) -> int:
    """Bit p is set iff port p traps. flags: as of _trapping_runs."""
    digits = [
        ("1" if flags[chain[0]] or (len(chain) > 1 and any(flags[number] for number in chain)) else "0") * (hi - lo + 1)
        for lo, hi, chain in runs
    ]
    return int("".join(digits)[::-1], 2)


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
