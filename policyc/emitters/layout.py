"""What the exit handler's tables hold: rules numbered, chains joined into links, words of a vCPU's state given out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from policyc.semantics.decide import selected
from policyc.semantics.policy import (
    DEFAULT_RULE,
    EXIT,
    PASSTHROUGH,
    STRICTNESS,
    Actions,
    Condition,
    DecisionMap,
    Default,
    Defaults,
    Policy,
    Rule,
    Run,
    Variant,
)
from policyc.vocabulary.access import COLUMN_WIDTHS, COLUMNS, IO, MSR, MSR_MASK, PORT_LAST, column_space
from policyc.vocabulary.intervals import Intervals, intersect, subtract, union
from policyc.vocabulary.span import Span
from policyc.vocabulary.typed import NamedTuple

WINDOWS = (0x0000_0000, 0xC000_0000, 0xC001_0000)
"""First MSRs of the windows that have pages (decide_msr in templates/exit_handler/decide.c)."""
WINDOW_SIZE = 0x2000
PAGE = 256
"""Addresses of a page: the steps from its first address's run to any other's fit a byte."""
STEP_REPORTS, STEP_ASKS = 0x40, 0x80
"""Flags of a step's kind (struct policyc_step in templates/exit_handler/types.h); below them the action's number."""

STATE_PENDING = 0
"""The word of the state that every policy has."""


class Asked(NamedTuple):
    """One entry of the rules' table. rule: None for a default. slot: its words begin there, as act_before reads it."""

    rule: Rule | None
    title: str
    span: Span | None
    conditions: tuple[Condition, ...]
    condition: int
    actions: int
    slot: int


class Table(NamedTuple):
    """Runs of one or more columns. pages: of each page its first address's run, and the number of its steps.

    links: where each run's chain begins. kinds: what a step says of each run, but for a default of MSRs without a bit.
    """

    number: int
    space: str
    runs: tuple[Run, ...]
    links: tuple[int, ...]
    kinds: tuple[int, ...]
    pages: tuple[tuple[int, int], ...]


class Cells(NamedTuple):
    """Shadow cells of addresses lo..hi, the first of them numbered cell (MSRs: a word of the state; ports: a byte)."""

    lo: int
    hi: int
    cell: int


class Reset(NamedTuple):
    """Cells first..last get value, its unit bytes over and over (8: each cell of an MSR gets all of it)."""

    value: int
    first: int
    last: int
    unit: int


class ClassTables(NamedTuple):
    """One vCPU class under one profile: tables by column, and which of the lists of resets is its own."""

    columns: tuple[int, ...]
    resets: int


class ProfileTables(NamedTuple):
    """name: None for the base policy. The others are numbers in Layout.asked."""

    name: str | None
    classes: tuple[ClassTables, ...]
    msr_default: int
    io_default: int
    outside: int


class Layout(NamedTuple):
    """Everything in the tables, in numbers. links: numbers in asked.

    chains: where in links each chain begins. steps: two bytes for each address of a page, how many runs it is past the
    page's first and its kind; equal ones are laid out once. words: the state's size. port_word: the first word of port
    cells.
    """

    asked: tuple[Asked, ...]
    actions: tuple[Actions, ...]
    conditions: tuple[Condition, ...]
    links: tuple[int, ...]
    chains: dict[tuple[int, ...], int]
    tables: tuple[Table, ...]
    steps: tuple[bytes, ...]
    msr_cells: tuple[Cells, ...]
    port_cells: tuple[Cells, ...]
    resets: tuple[tuple[Reset, ...], ...]
    profiles: tuple[ProfileTables, ...]
    past_last_port: int
    port_word: int
    words: int


def lay_out(policy: Policy, maps: Mapping[Variant, DecisionMap]) -> Layout:
    """The layout of all variants together. Equal tables, actions and lists are laid out once."""
    names = tuple(dict.fromkeys(variant.profile for variant in maps))
    numbers = range(len(policy.vcpu_classes))
    rows = [[maps[Variant(name, number)] for number in numbers] for name in names]
    used = sorted({rule for row in rows for each in row for rule in _rules_of(each)})
    desk = _Desk()
    for rule_number in used:
        desk.add_rule(policy.rules[rule_number])
    said = [_add_defaults(desk, name, row[0].defaults) for name, row in zip(names, rows, strict=True)]
    past = desk.add_default("a port access that runs past 0xffff", None, EXIT)
    # Every rule and default has its own words by now: the cells come behind them.
    msr_cells, words = _cells(policy, MSR, desk.words)
    port_cells, bytes_ = _cells(policy, IO, 0)
    profiles = []
    for name, row, entries in zip(names, rows, said, strict=True):
        classes = []
        for each in row:
            resets = _resets(policy, each.variant, msr_cells, port_cells)
            classes.append(ClassTables(desk.columns(each, *entries[:2]), desk.number(desk.resets, resets)))
        profiles.append(ProfileTables(name, tuple(classes), *entries))
    return Layout(
        tuple(desk.asked), tuple(desk.told), tuple(desk.conditions), tuple(desk.links), desk.chains,
        tuple(desk.tables.values()), tuple(desk.steps), msr_cells, port_cells, tuple(desk.resets), tuple(profiles), past,
        words if port_cells else 0, words + (bytes_ + 7) // 8,
    )  # fmt: skip


def _add_defaults(desk: _Desk, profile: str | None, defaults: Defaults) -> tuple[int, int, int]:
    """The numbers of a profile's three defaults: for MSRs, for ports, for MSRs outside the windows."""
    said = "" if profile is None else f" of profile {profile}"
    return (
        desk.add_default(f"default msr{said}", *_spoken(defaults.msr)),
        desk.add_default(f"default io{said}", *_spoken(defaults.io)),
        desk.add_default(f"default msr outside{said}", defaults.outside_span, defaults.outside),
    )


def _spoken(default: Default) -> tuple[Span | None, Actions]:
    return default.span, default.actions if default.traps else PASSTHROUGH


def _rules_of(decisions: DecisionMap) -> set[int]:
    return {rule for runs in set(decisions.columns) for run in runs for rule in run.chain if rule != DEFAULT_RULE}


class _Desk:
    """Lists that grow while the layout is made."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.place: dict[int, int] = {}
        self.actions: dict[Actions, int] = {}
        self.told: list[Actions] = []
        self.conditions: list[Condition] = []
        self.links: list[int] = []
        self.chains: dict[tuple[int, ...], int] = {}
        self.tables: dict[tuple[str, tuple[Run, ...], int], Table] = {}
        self.steps: dict[bytes, int] = {}
        self.resets: dict[tuple[Reset, ...], int] = {}
        self.defaults: dict[tuple[str, Span | None, Actions], int] = {}
        self.words = STATE_PENDING + 1

    @staticmethod
    def number(known: dict[tuple[Reset, ...], int], key: tuple[Reset, ...]) -> int:
        return known.setdefault(key, len(known))

    def action(self, actions: Actions) -> int:
        if actions not in self.actions:
            self.actions[actions] = len(self.actions)
            self.told.append(actions)
        return self.actions[actions]

    def add_rule(self, rule: Rule) -> None:
        self.place[rule.number] = len(self.asked)
        actions = self.action(rule.actions)
        slot, self.words = words_before(rule.actions, self.words)
        self.asked.append(
            Asked(rule, rule.label or "", rule.statement, rule.conditions, len(self.conditions), actions, slot)
        )
        self.conditions += rule.conditions

    def add_default(self, title: str, span: Span | None, chain: Actions) -> int:
        """Profiles that inherit a default share its entry, and with it its counter."""
        known = self.defaults.get((title.split(" of profile ")[0], span, chain))
        if known is not None:
            return known
        actions = self.action(chain)
        slot, self.words = words_before(chain, self.words)
        self.asked.append(Asked(None, title, span, (), 0, actions, slot))
        self.defaults[title.split(" of profile ")[0], span, chain] = len(self.asked) - 1
        return len(self.asked) - 1

    def chain(self, entries: tuple[int, ...]) -> int:
        found = self.chains.get(entries)
        if found is None:
            found = self.chains[entries] = len(self.links)
            self.links += entries
        return found

    def columns(self, decisions: DecisionMap, msr_default: int, io_default: int) -> tuple[int, ...]:
        found = []
        for column in COLUMNS:
            space = column_space(column)
            default = io_default if space == IO else msr_default
            found.append(self.table(space, decisions.columns[column], default))
        return tuple(found)

    def table(self, space: str, runs: tuple[Run, ...], default: int) -> int:
        """default: the entry that stands for DEFAULT_RULE."""
        known = self.tables.get((space, runs, default))
        if known is None:
            chains = [
                tuple(default if each == DEFAULT_RULE else self.place[each] for each in run.chain) for run in runs
            ]
            kinds = tuple(map(self.kind, chains))
            parts = [(0, PORT_LAST + 1, kinds)]
            if space == MSR:
                # VT-x has no bits for the last window: there the other default may speak.
                asking = tuple(STEP_ASKS if each == (default,) else kinds[at] for at, each in enumerate(chains))
                parts = [(first, WINDOW_SIZE, kinds if first != WINDOWS[-1] else asking) for first in WINDOWS]
            pages = tuple(
                (run, self.steps.setdefault(steps, len(self.steps)))
                for part in parts
                for run, steps in paged(runs, *part)
            )
            links = tuple(map(self.chain, chains))
            known = self.tables[space, runs, default] = Table(len(self.tables), space, runs, links, kinds, pages)
        return known.number

    def kind(self, entries: tuple[int, ...]) -> int:
        """What a step says of a run with these rules: all that is to be done, or that they must be asked."""
        asked = self.asked[entries[0]]
        if asked.conditions:
            return STEP_ASKS
        actions = self.told[asked.actions]
        return STRICTNESS.index(actions[-1].name) | (STEP_REPORTS if len(actions) > 1 else 0)


def words_before(actions: Actions, words: int) -> tuple[int, int]:
    """The slot of a chain's own words, and the words given out after it.

    At slot a counter, then the two words of a limited log; a counter that is not needed takes no room.
    """
    counts = any(action.name == "count" for action in actions)
    limited = any(action.name == "log" and action.number("rate") for action in actions)
    if limited and not counts:
        return words - 1, words + 2
    if counts:
        return words, words + (3 if limited else 1)
    return 0, words


def paged(runs: tuple[Run, ...], lo: int, size: int, kinds: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """The pages of addresses from lo on: the run of a page's first address, and its steps (Layout.steps).

    kinds: of each run, what its steps say.
    """
    at = 0
    for page in range(lo, lo + size, PAGE):
        while runs[at].hi < page:
            at += 1
        first, steps = at, b""
        while len(steps) < 2 * PAGE:
            at = first if not steps else at + 1
            inside = min(runs[at].hi - page + 1, PAGE)
            steps += bytes((at - first, kinds[at])) * (inside - len(steps) // 2)
        yield first, steps


def _shadowing(policy: Policy, space: str) -> list[Rule]:
    return [rule for rule in policy.rules if rule.space == space and rule.actions[-1].name == "shadow"]


def _cells(policy: Policy, space: str, first: int) -> tuple[tuple[Cells, ...], int]:
    """One cell for each address that any rule shadows, whichever rules they are; and the number after the last."""
    cells = []
    for lo, hi in union(*(rule.ranges for rule in _shadowing(policy, space))):
        cells.append(Cells(lo, hi, first))
        first += hi - lo + 1
    return tuple(cells), first


def _resets(policy: Policy, variant: Variant, msr: tuple[Cells, ...], port: tuple[Cells, ...]) -> tuple[Reset, ...]:
    """The reset values of all cells: where several rules shadow an address, the first one in force on the variant."""
    out: list[Reset] = []
    for space, cells in ((MSR, msr), (IO, port)):
        left: Intervals = tuple((each.lo, each.hi) for each in cells)
        rules = _shadowing(policy, space)
        for rule in sorted(rules, key=lambda rule: (not _in_force(policy, rule, variant), rule.number)):
            for lo, hi in rule.ranges:
                for a, b in intersect(left, ((lo, hi),)):
                    out += _fill(rule, lo, a, b, cells)
            left = subtract(left, rule.ranges)
    return tuple(sorted(out, key=lambda reset: (reset.unit < 8, reset.first)))


def _in_force(policy: Policy, rule: Rule, variant: Variant) -> bool:
    """Whether a rule applies to a variant: its profile's lineage has it, and its vCPUs hold the class."""
    chosen = selected(policy, variant.profile)
    lineage = () if chosen is None else chosen.lineage
    vcpus = policy.vcpu_classes[variant.vcpu_class].vcpus
    mine = rule.vcpus is None or bool(intersect(rule.vcpus, vcpus))
    return mine and (rule.profile is None or rule.profile in lineage)


def _fill(rule: Rule, base: int, lo: int, hi: int, cells: tuple[Cells, ...]) -> list[Reset]:
    """Addresses lo..hi of a rule's range that begins at base; the value's bytes begin anew every unit from base on."""
    unit = min(COLUMN_WIDTHS[column] for column in COLUMNS if rule.columns >> column & 1)
    value = rule.actions[-1].number("init")
    if rule.columns & MSR_MASK == 0:
        turn = (lo - base) % unit
        data = (value & (1 << 8 * unit) - 1).to_bytes(unit, "little")
        value = int.from_bytes(data[turn:] + data[:turn], "little")
    cell = next(each for each in cells if each.lo <= lo <= each.hi)
    return [Reset(value, cell.cell + lo - cell.lo, cell.cell + hi - cell.lo, unit)]
