"""What the evaluator expects of one address space, written out: runs of chains, rows of bits, intervals.

One Sheet serves every variant in which the same rules are in force with the same default. An Overlay is the sheet of a
variant that has rules of its own besides: it asks about the addresses that these cover, and takes all others from the
sheet below. Nothing here reads an image or a decision map.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property, reduce
from itertools import starmap, zip_longest
from operator import eq, or_

from policyc.architecture.kvm import X2APIC_FIRST, X2APIC_LAST
from policyc.proof.cells import Cell, Kinds, Rank, cut
from policyc.proof.evaluate import Reading, chain, judge, port_exits, port_traps
from policyc.proof.rows import PORT_IMAGE, SIZES, WINDOWS, meetings, number, port_bits, row, strips
from policyc.semantics.policy import DEFAULT_RULE, Policy, Rule, Run
from policyc.vocabulary.access import (
    IN1,
    IO_COLUMNS,
    MSR,
    MSR_COLUMNS,
    MSR_LAST,
    PORT_LAST,
    Access,
)
from policyc.vocabulary.intervals import Intervals, normal
from policyc.vocabulary.typed import NamedTuple

KIND_NAMES = ("rdmsr", "wrmsr", "in", "in", "in", "out", "out", "out")
"""Kind of access of each column."""
MSR_EDGES = tuple(
    sorted(
        {X2APIC_FIRST, X2APIC_LAST + 1}
        | {edge for windows in WINDOWS.values() for lo, hi in windows for edge in (lo, hi + 1)}
    )
)
"""Where the evaluator's answer about an MSR changes whatever the rules: it has a bit or not, KVM filters it or not."""
PORT_EDGES = (0,)

Chains = tuple[tuple[int, int, tuple[int, ...]], ...]
"""(lo, hi, chain), in order, without gap, neighbours different."""


class Answer(NamedTuple):
    """The evaluator on one cell. number: no other answer's. chains: by column, links as positions in the cell's rules
    or DEFAULT_RULE. bits: by target, by column, whether the bit is set: of an MSR access, whether it exits; of a port,
    which has one bit for all columns, under IN1."""

    number: int
    chains: dict[int, tuple[int, ...]]
    bits: dict[str, dict[int, bool]]


class Evaluator:
    """Asks policyc.proof.evaluate, each question once. targets: those whose images are to be compared."""

    def __init__(self, policy: Policy, targets: frozenset[str]) -> None:
        self.targets = targets
        self.kinds = Kinds(policy.rules)
        self._answers: dict[object, Answer] = {}

    def sheet(self, reading: Reading, space: str) -> Sheet:
        """Everything expected of a space."""
        ranked = [each for each in reading.rules if each[1].space == space]
        return Sheet(self, Reading(reading.defaults, tuple(ranked)), space)

    def answer(self, sheet: Sheet, cell: Cell) -> Answer:
        """The answer on one cell of a sheet."""
        key = (sheet.space, sheet.default, cell.edge, cell.kinds)
        found = self._answers.get(key)
        if found is None:
            found = self._answers[key] = self._ask(sheet.near((cell,)), sheet.space, cell)
        return found

    def _ask(self, reading: Reading, space: str, cell: Cell) -> Answer:
        place = {number: position for position, number in enumerate(cell.rules)}
        place[DEFAULT_RULE] = DEFAULT_RULE
        columns = MSR_COLUMNS if space == MSR else IO_COLUMNS
        chains = {column: tuple([place[number] for number in chain(reading, column, cell.lo)]) for column in columns}
        if space == MSR:
            bits = {
                target: {column: _exits(reading, column, cell.lo, target) for column in MSR_COLUMNS}
                for target in self.targets
            }
        else:
            held = {IN1: port_traps(reading, cell.lo)}
            bits = dict.fromkeys(self.targets & PORT_IMAGE.keys(), held)
        return Answer(len(self._answers), chains, bits)


def _exits(reading: Reading, column: int, msr: int, target: str) -> bool:
    return judge(reading, Access(KIND_NAMES[column], msr), target).exits


Held = tuple[Cell, Answer]


class Sheet:
    """The expected answers on one space. reading: the rules in force in it."""

    def __init__(self, evaluator: Evaluator, reading: Reading, space: str) -> None:
        self.space = space
        self.last, edges = (MSR_LAST, MSR_EDGES) if space == MSR else (PORT_LAST, PORT_EDGES)
        self.evaluator = evaluator
        self.defaults = reading.defaults
        self.default = (reading.defaults.msr if space == MSR else reading.defaults.io)[:2]
        self._rules = reading.rules
        self.cells = cut(list(reading.rules), evaluator.kinds, edges, self.last)
        self._lows = [cell.lo for cell in self.cells]
        self.answers = [evaluator.answer(self, cell) for cell in self.cells]
        self._chains: dict[tuple[tuple[int, ...], ...], Chains] = {}
        self._held: dict[tuple[tuple[tuple[int, ...], ...], int], bool] = {}
        self._images: dict[tuple[str, str], int] = {}
        self._meetings: dict[int, dict[tuple[bool, ...], int]] = {}
        """By width; one for all targets, for a port's bit is the same for each."""

    # where

    def near(self, cells: Iterable[Cell]) -> Reading:
        """The rules that cover any of the cells."""
        numbers = sorted({number for cell in cells for number in cell.rules})
        return Reading(self.defaults, tuple([self.ranked(number) for number in numbers]))

    def ranked(self, number: int) -> tuple[Rank, Rule]:
        """A rule that is in force, with its rank."""
        return self._rules[bisect_left(self._rules, number, key=_number)]

    def within(self, lo: int, hi: int) -> list[Held]:
        """The cells that addresses lo..hi lie in, with their answers."""
        first, after = bisect_right(self._lows, lo) - 1, bisect_right(self._lows, hi)
        return list(zip(self.cells[first:after], self.answers[first:after], strict=True))

    def decider(self, column: int, address: int) -> int | None:
        """The rule asked first at an address; None for the default."""
        ((cell, answer),) = self.within(address, address)
        link = answer.chains[column][0]
        return None if link == DEFAULT_RULE else cell.rules[link]

    # the map

    def runs(self, column: int) -> Chains:
        """The chains of a column. Columns that no answer tells apart give the same object."""
        key = self._distinct(column)
        if key not in self._chains:
            self._chains[key] = tuple(self._stream(column))
        return self._chains[key]

    def holds(self, column: int, found: tuple[Run, ...]) -> bool:
        """Whether these runs, which live as long as the sheet, are the chains of a column. Nothing is written out: of
        100,000 rules that would take as much memory as the cells."""
        asked = (self._distinct(column), id(found))
        if asked not in self._held:
            self._held[asked] = all(starmap(eq, zip_longest(self._stream(column), found)))
        return self._held[asked]

    def _stream(self, column: int) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        return chains(zip(self.cells, self.answers, strict=True), column)

    def _distinct(self, column: int) -> tuple[tuple[int, ...], ...]:
        """Alike for columns that no answer tells apart."""
        return tuple([answer.chains[column] for answer in self._different])

    @cached_property
    def _different(self) -> tuple[Answer, ...]:
        """The answers, each once: few, where the cells may be 65,536 and every column asks."""
        return tuple({each.number: each for each in self.answers}.values())

    # the images

    def denied(self, column: int) -> Intervals:
        """MSRs whose access KVM must let exit."""
        pairs = zip(self.cells, self.answers, strict=True)
        return normal((cell.lo, cell.hi) for cell, answer in pairs if answer.bits["kvm"][column])

    def image(self, target: str, name: str) -> int:
        """The bits of an image that hardware consults, as one number; the others are 0."""
        if (target, name) not in self._images:
            self._images[target, name] = self.written(target, name)
        return self._images[target, name]

    def written(self, target: str, name: str) -> int:
        text = bytearray(b"0") * (SIZES[name] * 8)
        for strip in strips(name):
            if strip.first > self.last:
                bits = self.past(target)
            else:
                bits = self.stretch(target, strip.column, strip.first, strip.last)
            assert len(bits) == strip.last - strip.first + 1
            text[strip.slice()] = bits
        return number(text)

    def stretch(self, target: str, column: int, first: int, last: int) -> bytes:
        """One character an address of first..last: whether the bit of a column is set."""
        return row(
            (max(cell.lo, first), min(cell.hi, last), answer.bits[target][column])
            for cell, answer in self.within(first, last)
        )

    def past(self, target: str) -> bytes:
        """The bits past the last port: those that the evaluator consults for the widest access at the last one."""
        near = self.near([cell for cell, _ in self.within(PORT_LAST, PORT_LAST)])
        return row((0, 0, bool(bit.value)) for bit in judge(near, Access("in", PORT_LAST, 4), target).bits[1:])

    # wide accesses

    def starts(self, target: str, width: int) -> int:
        """The start ports whose accesses of a width exit, as one number. The same for both directions."""
        if width not in self._meetings:
            name = PORT_IMAGE[target]
            self._meetings[width] = meetings(port_bits(name, self.image(target, name)), width)
        exiting = [ports for bits, ports in self._meetings[width].items() if port_exits(target, bits, width)]
        return reduce(or_, exiting, 0)


def _number(ranked: tuple[Rank, Rule]) -> int:
    return ranked[1].number


_DEFAULT, _ONLY = (DEFAULT_RULE,), (0,)


def chains(held: Iterable[Held], column: int) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """The chains of neighbouring cells, those that are equal joined."""
    start, end = 0, 0
    before: tuple[int, ...] | None = None
    for cell, answer in held:
        rules, places = cell.rules, answer.chains[column]
        links: tuple[int, ...]
        if places == _DEFAULT:
            links = _DEFAULT
        elif places == _ONLY and len(rules) == 1:
            links = rules
        else:
            links = tuple([rules[at] if at >= 0 else DEFAULT_RULE for at in places])
        if links != before:
            if before is not None:
                yield start, end, before
            start, before = cell.lo, links
        end = cell.hi
    assert before is not None
    yield start, end, before
