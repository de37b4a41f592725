"""What a lint rule reads: one policy, its decisions, its trees and the database, with the questions that rules ask."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from policyc.database.names import Database
from policyc.lint.rule import GUEST
from policyc.semantics.modules import MAIN, Loaded
from policyc.semantics.policy import DEFAULT_RULE, Actions, DecisionMap, Default, Policy, Rule, Run, Variant
from policyc.semantics.wording import brief
from policyc.syntax import tree
from policyc.targets.registry import target as target_named
from policyc.vocabulary.access import COLUMNS, IO, MSR, MSR_WRITE, OUT_MASK, column_space
from policyc.vocabulary.intervals import Interval, Intervals, intersect, normal, union
from policyc.vocabulary.span import Span

if TYPE_CHECKING:
    from policyc.semantics.resolve import Written
    from policyc.semantics.scope import Scope

_FOREIGN = {"vmx": frozenset({"amd"}), "svm": frozenset({"intel"})}
"""Vendors whose MSRs a target's processors do not have."""
_ELSEWHERE = frozenset({"centaur", "transmeta", "kvm", "hyperv", "xen", "vmware"})
"""Vendors whose MSRs are no danger to a host on VT-x or SVM: other processors', or made by a hypervisor."""

STD = "std/"

MOST_LOOKS = 200_000
"""Pairs of overlapping rules that are looked at; a policy with more is generated, and nobody reads the findings."""

_WRITES = frozenset(column for column in COLUMNS if column == MSR_WRITE or OUT_MASK >> column & 1)

_Test = Callable[[tuple[int, ...], Default], bool]


class Place(NamedTuple):
    """What one rule, or the default, decides about the addresses asked for.

    rule: None for the default. actions: what it does. span: where to point. ranges: the addresses, of those asked for.
    columns: of those asked for, the ones concerned. profiles: the variants in which it does. image: the name of the raw
    image that the policy stands for; empty for a policy that somebody wrote.
    """

    rule: Rule | None
    actions: Actions
    span: Span
    ranges: Intervals
    columns: int
    profiles: tuple[str | None, ...]
    image: str = ""

    @property
    def subject(self) -> str:
        """As the start of a sentence: ``the default``, `` `allow msr 0x3a write` ``, ``msr.bin``."""
        if self.image:
            return self.image
        if self.rule is None:
            return "the default"
        return f"`{self.rule.verb} {self.rule.space} {brief(self.rule.span.text)}`"


class Subject:
    """One policy under one set of targets.

    threat: of policyc.lint.rule.THREATS. platform: piix4, q35, or empty: which chipset's ports S410 knows.
    image: the name of the raw image that the policy stands for; its rules are nobody's, and findings name the image.
    """

    def __init__(
        self,
        policy: Policy,
        maps: Mapping[Variant, DecisionMap],
        targets: tuple[str, ...],
        database: Database,
        written: Written,
        *,
        threat: str = GUEST,
        platform: str = "",
        image: str = "",
    ) -> None:
        self.policy = policy
        self.maps = maps
        self.targets = targets
        self.database = database
        self.written = written
        self.threat = threat
        self.stated_platform = platform
        self.image = image
        self._tables: dict[tuple[int, int], list[int]] = {}
        self._pairs: dict[bool, list[tuple[Rule, Rule]]] = {}
        self._crowded = False

    # files

    @cached_property
    def files(self) -> tuple[Loaded, ...]:
        """The policy's own files, the main one first; not the modules that come with policyc."""
        return tuple(each for each in self.written.modules if each.key == MAIN or not each.key.startswith(STD))

    def scope(self, file: Loaded) -> Scope:
        return self.written.scopes[file.key]

    def statements(self) -> Iterator[tuple[Loaded, tree.Statement]]:
        """Every statement of the policy's own files, those inside profiles too."""
        for file in self.files:
            for statement in file.module.statements:
                yield file, statement
                if isinstance(statement, tree.Profile):
                    for each in statement.body:
                        yield file, each

    def own(self, rule: Rule) -> bool:
        """Whether a rule stands in the policy's own files."""
        return not self.policy.modules[rule.module].path.startswith(STD)

    @cached_property
    def platforms(self) -> frozenset[str]:
        """The chipsets that the policy is for: as stated, else by the module of std that it imports."""
        if self.stated_platform:
            return frozenset({self.stated_platform})
        prefix = f"{STD}acpi_"
        return frozenset(
            each.path.removeprefix(prefix).removesuffix(".pol")
            for each in self.policy.modules
            if each.path.startswith(prefix)
        )

    # what hardware can do

    @cached_property
    def hardware(self) -> tuple[str, ...]:
        """The targets whose images let a guest reach hardware; with KVM, the kernel stands between."""
        return tuple(each for each in self.targets if each in _FOREIGN)

    @cached_property
    def windows(self) -> Intervals:
        """MSRs that have a bit on any of these targets."""
        return union(*(target_named(each).msr_windows for each in self.hardware))

    def msrs(self, *tags: str, need: str = "", every: bool = False) -> Intervals:
        """MSRs of the database with one of the tags (``every``: all of them) that exist on the hardware targets.

        need: ``w`` or ``r``: registers that can be accessed so.
        """
        foreign = frozenset.intersection(*(_FOREIGN[each] for each in self.hardware)) if self.hardware else frozenset()
        found: list[Interval] = []
        for name, lo, count, stride, access, vendor, has in self.database.msrs_tagged(*tags):
            if vendor in foreign or vendor in _ELSEWHERE or need not in access or (every and not has.issuperset(tags)):
                continue
            if self.database.only_old_models(name):
                continue
            found += [(lo, lo + count - 1)] if stride == 1 else [(lo + n * stride,) * 2 for n in range(count)]
        return intersect(normal(found), self.windows) if self.hardware else normal(found)

    def msr(self, *names: str) -> Intervals:
        """The MSRs of these names."""
        return union(*(self.database.msr(name) or () for name in names))

    def ports(self, *tags: str) -> Intervals:
        """Ports of the database that have one of the tags."""
        return union(*(entry.ranges for entry in self.database.ports_tagged(*tags)))

    # what the policy does

    def open(self, space: str, ranges: Intervals, columns: int) -> tuple[Place, ...]:
        """Accesses that reach hardware whatever their value, on VT-x or SVM, by the rule or default that lets them.

        Passed on without an exit, or by the exit handler with nothing but a log. Nothing where the target is KVM alone.
        """
        if not self.hardware:
            return ()
        inside = intersect(ranges, self.windows) if space == MSR else ranges
        return self._places(space, inside, columns, self._passes)

    def trapped(self, space: str, ranges: Intervals, columns: int, *, explicit: bool = False) -> tuple[Place, ...]:
        """Accesses that exit and are then served (not refused by ``inject`` or ``kill``), by who says so.

        explicit: by rules alone, not by the default.
        """
        if space == IO and not self.hardware:
            return ()
        places = self._places(space, ranges, columns, self._serves)
        return tuple(each for each in places if each.rule is not None) if explicit else places

    def covered(self, space: str, ranges: Intervals, columns: int) -> Intervals:
        """Of these addresses, those that exit in the base policy for at least one of the columns."""
        found = self._places(space, ranges, columns, self._any_traps)
        return union(*(each.ranges for each in found if None in each.profiles))

    def _link(self, number: int, default: Default) -> tuple[bool, Actions]:
        if number == DEFAULT_RULE:
            return default.traps, default.actions
        rule = self.policy.rules[number]
        return rule.traps, rule.actions

    def _passes(self, chain: tuple[int, ...], default: Default) -> bool:
        for number in chain:
            traps, actions = self._link(number, default)
            if traps and actions[-1].name != "passthrough":
                return False
        return True

    def _serves(self, chain: tuple[int, ...], default: Default) -> bool:
        traps, actions = self._link(chain[0], default)
        return traps and actions[-1].name not in ("inject", "kill")

    def _any_traps(self, chain: tuple[int, ...], default: Default) -> bool:
        return any(self._link(number, default)[0] for number in chain)

    def _asked_of_reads(self, chain: tuple[int, ...]) -> tuple[int, ...]:
        """Without rules about a value: a read carries none, so they never decide one."""
        return tuple(
            number
            for number in chain
            if number == DEFAULT_RULE or all(each.subject != "value" for each in self.policy.rules[number].conditions)
        )

    def _places(self, space: str, ranges: Intervals, columns: int, wanted: _Test) -> tuple[Place, ...]:
        found: dict[tuple[int, Span | None], tuple[list[Interval], int, dict[str | None, None], Actions]] = {}
        for variant, decisions in self.maps.items():
            default = decisions.defaults.msr if space == MSR else decisions.defaults.io
            for column, runs in enumerate(decisions.columns):
                if not columns >> column & 1 or column_space(column) != space:
                    continue
                for lo, hi, whole in self._overlapping(runs, ranges):
                    chain = whole if column in _WRITES or len(whole) == 1 else self._asked_of_reads(whole)
                    if not wanted(chain, default):
                        continue
                    key = (chain[0], default.span if chain[0] == DEFAULT_RULE else None)
                    if self.image and chain[0] != DEFAULT_RULE:
                        key = (0, None)
                    held, mask, profiles, actions = found.get(key, ([], 0, {}, self._link(chain[0], default)[1]))
                    held.append((lo, hi))
                    profiles[variant.profile] = None
                    found[key] = (held, mask | 1 << column, profiles, actions)
        return tuple(
            Place(
                None if number == DEFAULT_RULE else self.policy.rules[number],
                actions,
                self.policy.rules[number].span if number != DEFAULT_RULE else span or self.start,
                normal(held),
                mask,
                tuple(profiles),
                self.image,
            )
            for (number, span), (held, mask, profiles, actions) in found.items()
        )

    def _overlapping(self, runs: tuple[Run, ...], ranges: Intervals) -> Iterator[Run]:
        """The parts of runs that lie in the ranges."""
        key = (id(runs), len(runs))
        if key not in self._tables:
            self._tables[key] = [run.lo for run in runs]
        lows = self._tables[key]
        for lo, hi in ranges:
            at = bisect_right(lows, lo) - 1
            while at < len(runs) and runs[at].lo <= hi:
                yield Run(max(lo, runs[at].lo), min(hi, runs[at].hi), runs[at].chain)
                at += 1

    # rules among themselves

    def winner(self, rule: Rule) -> Rule | None:
        """The rule that decides a dead rule's first address in its stead, in a variant where it applies."""
        column = (rule.columns & -rule.columns).bit_length() - 1
        address = rule.ranges[0][0]
        for variant, decisions in self.maps.items():
            if rule.profile is not None and variant.profile is None:
                continue
            for run in self._overlapping(decisions.columns[column], ((address, address),)):
                if run.chain[0] != DEFAULT_RULE:
                    return self.policy.rules[run.chain[0]]
        return None

    def overlapping(self, *, every: bool = False) -> list[tuple[Rule, Rule]]:
        """Pairs of rules that share an access, the earlier written first.

        every: also rules of other files, layers and profiles; without it, only of one file and height. Not all of them
        where the policy is crowded.
        """
        if every not in self._pairs:
            self._pairs[every] = self._overlaps(every)
        return self._pairs[every]

    @property
    def crowded(self) -> bool:
        """Whether so many rules overlap that not every pair was looked at: nobody may say that a rule stands alone."""
        self.overlapping(every=True)
        return self._crowded

    def _overlaps(self, every: bool) -> list[tuple[Rule, Rule]]:
        heights: dict[tuple[object, ...], list[Rule]] = {}
        for rule in self.policy.rules:
            height = (rule.space,) if every else (rule.space, rule.layer, rule.profile, rule.module)
            heights.setdefault(height, []).append(rule)
        out: dict[tuple[int, int], tuple[Rule, Rule]] = {}
        left = MOST_LOOKS
        for rules in heights.values():
            alive: list[tuple[int, Rule]] = []
            rows = ((lo, hi, each) for each in rules for lo, hi in each.ranges)
            for lo, hi, rule in sorted(rows, key=lambda row: (row[0], row[1], row[2].number)):
                alive = [each for each in alive if each[0] >= lo]
                left -= len(alive)
                if left < 0:
                    self._crowded = True
                    return [out[key] for key in sorted(out)]
                for _, other in alive:
                    if other.number != rule.number and other.columns & rule.columns:
                        pair = (other, rule) if other.number < rule.number else (rule, other)
                        out[pair[0].number, pair[1].number] = pair
                alive.append((hi, rule))
        return [out[key] for key in sorted(out)]

    @property
    def start(self) -> Span:
        """Where findings about something that is not written point."""
        return Span(self.policy.modules[0].source, 0, 0)
