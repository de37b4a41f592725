"""What the evaluator expects of one address space, written out: runs of chains, rows of bits, intervals.

One Sheet serves every variant in which the same rules are in force with the same default. Nothing here reads an image
or a decision map.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from policyc.architecture.kvm import X2APIC_FIRST, X2APIC_LAST
from policyc.proof.cells import Cell, Kinds, Rank, cut
from policyc.proof.evaluate import Reading, chain, judge
from policyc.proof.rows import PORT_IMAGE, SIZES, WINDOWS, number, row, strips
from policyc.semantics.policy import DEFAULT_RULE, Policy, Rule
from policyc.vocabulary.access import (
    COLUMN_WIDTHS,
    IN1,
    IO_COLUMNS,
    MSR,
    MSR_COLUMNS,
    MSR_LAST,
    OUT1,
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

Verdict = dict[tuple[str, int], bool]
"""Whether an access exits, by target and column."""


class Answer(NamedTuple):
    """The evaluator on one cell. number: no other answer's. chains: by column, links as positions in the cell's rules or DEFAULT_RULE. exits: by
    target, by column: whether an access of the column exits (for ports: of width 1)."""

    number: int
    chains: dict[int, tuple[int, ...]]
    exits: dict[str, dict[int, bool]]


class Evaluator:
    """Asks policyc.proof.evaluate, each question once. targets: those whose images are to be compared."""

    def __init__(self, policy: Policy, targets: frozenset[str]) -> None:
        self.targets = targets
        self.kinds = Kinds(policy.rules)
        self._sheets: dict[object, Sheet] = {}
        self._answers: dict[object, Answer] = {}
        self._wide: dict[tuple[int, tuple[int, ...]], Verdict] = {}

    def sheet(self, reading: Reading, space: str) -> Sheet:
        """Everything expected of a space; the same object for readings that agree on it."""
        ranked = [each for each in reading.rules if each[1].space == space]
        default = reading.defaults.msr if space == MSR else reading.defaults.io
        key = (space, default.traps, default.actions, *[(rank, rule.number) for rank, rule in ranked])
        if key not in self._sheets:
            self._sheets[key] = Sheet(self, Reading(reading.defaults, tuple(ranked)), space)
        return self._sheets[key]

    def answer(self, sheet: Sheet, position: int) -> Answer:
        """The answer on one cell of a sheet."""
        cell = sheet.cells[position]
        key = (sheet.space, sheet.default, cell.edge, cell.kinds)
        found = self._answers.get(key)
        if found is None:
            found = self._answers[key] = self._ask(sheet.near((position,)), sheet.space, cell)
        return found

    def _ask(self, reading: Reading, space: str, cell: Cell) -> Answer:
        place = {number: position for position, number in enumerate(cell.rules)}
        place[DEFAULT_RULE] = DEFAULT_RULE
        columns, single = (MSR_COLUMNS, MSR_COLUMNS) if space == MSR else (IO_COLUMNS, (IN1, OUT1))
        chains = {column: tuple([place[number] for number in chain(reading, column, cell.lo)]) for column in columns}
        exits = {
            target: {column: _exits(reading, column, cell.lo, target) for column in single}
            for target in self.targets
            if space == MSR or target in PORT_IMAGE
        }
        return Answer(len(self._answers), chains, exits)

    def wide(self, sheet: Sheet, touched: tuple[int, ...], port: int, width: int) -> Verdict:
        """Whether the accesses at a port exit. touched: numbers of the answers of the ports it touches."""
        found = self._wide.get((width, touched))
        if found is None:
            reading = sheet.near(sheet.positions(port, port + len(touched) - 1))
            found = self._wide[width, touched] = {
                (target, column): _exits(reading, column, port, target)
                for target in self.targets
                if target in PORT_IMAGE
                for column in IO_COLUMNS
                if COLUMN_WIDTHS[column] == width
            }
        return found


def _exits(reading: Reading, column: int, address: int, target: str) -> bool:
    return judge(reading, Access(KIND_NAMES[column], address, COLUMN_WIDTHS[column]), target).exits


class Sheet:
    """The expected answers on one space. reading: the rules in force in it."""

    def __init__(self, evaluator: Evaluator, reading: Reading, space: str) -> None:
        self.space = space
        self.last, edges = (MSR_LAST, MSR_EDGES) if space == MSR else (PORT_LAST, PORT_EDGES)
        self._evaluator = evaluator
        self._defaults = reading.defaults
        self.default = (reading.defaults.msr if space == MSR else reading.defaults.io)[:2]
        self._ranked: dict[int, tuple[Rank, Rule]] = {each[1].number: each for each in reading.rules}
        self.cells = cut(list(reading.rules), evaluator.kinds, edges, self.last)
        self._lows = [cell.lo for cell in self.cells]
        self.answers = [evaluator.answer(self, position) for position in range(len(self.cells))]
        self._distinct = list({answer.number: answer for answer in self.answers}.values())
        self._chains: dict[tuple[tuple[int, ...], ...], Chains] = {}
        self._images: dict[tuple[str, str], int] = {}
        self._wide: dict[int, dict[tuple[str, int], int]] = {}

    def decider(self, column: int, address: int) -> int | None:
        """The rule asked first at an address; None for the default."""
        at = self._position(address)
        link = self.answers[at].chains[column][0]
        return None if link == DEFAULT_RULE else self.cells[at].rules[link]

    def near(self, cells: Iterable[int]) -> Reading:
        """The rules that cover any of the cells at these positions."""
        numbers = sorted({number for position in cells for number in self.cells[position].rules})
        return Reading(self._defaults, tuple([self._ranked[number] for number in numbers]))

    def runs(self, column: int) -> Chains:
        """The chains of a column. Columns that no answer tells apart give the same object."""
        key = tuple([answer.chains[column] for answer in self._distinct])
        if key not in self._chains:
            self._chains[key] = self._runs(column)
        return self._chains[key]

    def _runs(self, column: int) -> Chains:
        out: list[tuple[int, int, tuple[int, ...]]] = []
        start, before = 0, None
        for cell, answer in zip(self.cells, self.answers, strict=True):
            rules = cell.rules
            links = tuple([rules[at] if at >= 0 else DEFAULT_RULE for at in answer.chains[column]])
            if links != before:
                if before is not None:
                    out.append((start, cell.lo - 1, before))
                start, before = cell.lo, links
        assert before is not None
        return (*out, (start, self.last, before))

    def denied(self, column: int) -> Intervals:
        """MSRs whose access KVM must let exit."""
        pairs = zip(self.cells, self.answers, strict=True)
        return normal((cell.lo, cell.hi) for cell, answer in pairs if answer.exits["kvm"][column])

    def image(self, target: str, name: str) -> int:
        """The bits of an image that hardware consults, as one number; the others are 0."""
        key = (target, name)
        if key not in self._images:
            text = bytearray(b"0") * (SIZES[name] * 8)
            for strip in strips(name):
                if strip.first > self.last:
                    bits = self._past(target)
                else:
                    bits = self.stretch(target, strip.column, strip.first, strip.last)
                assert len(bits) == strip.last - strip.first + 1
                text[strip.slice()] = bits
            self._images[key] = number(text)
        return self._images[key]

    def stretch(self, target: str, column: int, first: int, last: int) -> bytes:
        """One character an address of first..last: whether the accesses of a column exit (for ports: of width 1)."""
        held = self.positions(first, last)
        cells, answers = self.cells[held.start : held.stop], self.answers[held.start : held.stop]
        return row(
            (max(cell.lo, first), min(cell.hi, last), answer.exits[target][column])
            for cell, answer in zip(cells, answers, strict=True)
        )

    def positions(self, lo: int, hi: int) -> range:
        """Positions of the cells that addresses lo..hi lie in."""
        return range(self._position(lo), self._position(hi) + 1)

    def _position(self, address: int) -> int:
        return bisect_right(self._lows, address) - 1

    def _past(self, target: str) -> bytes:
        """The bits past the last port: those that the evaluator consults for the widest access at the last one."""
        verdict = judge(self.near((len(self.cells) - 1,)), Access("in", PORT_LAST, 4), target)
        return row((0, 0, bool(bit.value)) for bit in verdict.bits[1:])

    def starts(self, target: str, column: int) -> int:
        """The start ports whose accesses exit in a port column, as one number."""
        width = COLUMN_WIDTHS[column]
        if width not in self._wide:
            self._wide[width] = self._starts(width)
        return self._wide[width][target, column]

    def _starts(self, width: int) -> dict[tuple[str, int], int]:
        """The row of every target and column of a width; equal rows are written once."""
        spread, patches = self._spread(width)
        verdicts = {id(each): each for each in [*(verdict for _, verdict in spread), *(v for _, v in patches)]}
        out: dict[tuple[str, int], int] = {}
        rows: dict[tuple[bool, ...], int] = {}
        for place in next(iter(verdicts.values())):
            signature = tuple([verdict[place] for verdict in verdicts.values()])
            if signature not in rows:
                text = bytearray().join([(b"1" if verdict[place] else b"0") * count for count, verdict in spread])
                for port, verdict in patches:
                    text[port] = 49 if verdict[place] else 48
                rows[signature] = number(text)
            out[place] = rows[signature]
        return out

    def _spread(self, width: int) -> tuple[list[tuple[int, Verdict]], list[tuple[int, Verdict]]]:
        """The verdicts of accesses inside one cell, cell by cell (of a narrow cell any), and those of all others."""
        owner: list[int] = []
        for cell, answer in zip(self.cells, self.answers, strict=True):
            owner += [answer.number] * (cell.hi - cell.lo + 1)
        spread: list[tuple[int, Verdict]] = []
        patches: list[tuple[int, Verdict]] = []
        ask = self._evaluator.wide
        for cell in self.cells:
            lo, hi = cell.lo, cell.hi
            inside: Verdict = {}
            if hi - lo + 1 >= width:
                inside = ask(self, tuple(owner[lo : lo + width]), lo, width)
            for port in range(max(lo, hi - width + 2), hi + 1):
                patches.append((port, ask(self, tuple(owner[port : port + width]), port, width)))
            spread.append((hi - lo + 1, inside or patches[-1][1]))
        return spread, patches
