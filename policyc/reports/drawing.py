"""What ``policyc report`` draws, as JSON values: every run of accesses, the rules that decide, names, findings, changes.

Nothing of it is markup. Whatever stems from a policy (labels, comments, file names) is a string that the page puts into
its text; characters that print nothing or turn the text round are spelt as escapes beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from policyc import __version__
from policyc.analyses.compare import Pair
from policyc.analyses.diff import CHANGES, KINDS, Difference, Fate, Found, Side, differences
from policyc.analyses.enforced import (
    KINDS_OF_OUTCOME,
    UNENFORCED,
    Columns,
    Enforced,
    Enforcer,
    Outcome,
    Way,
    exits,
)
from policyc.analyses.summary import Step, Stretch, Stretcher
from policyc.database.names import Database
from policyc.reports.cells import safe
from policyc.reports.differences import headline
from policyc.semantics.policy import DEFAULT_RULE, Condition, DecisionMap, Rule, Variant
from policyc.semantics.verdicts import Judge, View
from policyc.semantics.wording import actions_text, columns_text, condition_text
from policyc.targets.registry import target
from policyc.vocabulary.access import COLUMN_NAMES, IO, MSR, MSR_LAST, VCPU_LAST
from policyc.vocabulary.diagnostic import ERROR, INFO, WARNING, Diagnostic, UnreadableError
from policyc.vocabulary.intervals import Intervals, intersect, subtract

T = TypeVar("T", bound=Hashable)

_EVERY: Intervals = ((0, MSR_LAST),)
_LONGEST_TEXT = 300
"""Characters of a statement or of a comment that are quoted."""
_LONGEST_HELP = 4000
"""Characters of a remedy, which is there to be copied."""
_REMEDY = re.compile(r"\b(msr|io) (0x[0-9a-f.x]+|\{[0-9a-fx., ]+\})")
_MOST_FINDINGS = 500
"""Findings that are listed; the page says how many more there are."""


class Subject(NamedTuple):
    """A policy with the images made of it. said: what the user calls it. facts: lines about it. profiles: those to show,
    None for the base policy. images: by variant, target and file name."""

    said: str
    facts: tuple[str, ...]
    side: Side
    targets: tuple[str, ...]
    profiles: tuple[str | None, ...]
    images: Mapping[Variant, Mapping[str, Mapping[str, bytes]]]


class Findings(NamedTuple):
    """What lint says of the policy. note: what it could not look at; empty if it saw everything."""

    found: tuple[Diagnostic, ...]
    note: str = ""


_Row = tuple[int, int, int, int, tuple[int, ...]]
"""Of a table: first, last, mask of columns, what happens (a position in ``told``), rules."""


class _Once(Generic[T]):
    """Values that stand in the page once and are referred to by their position."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self._known: dict[T, int] = {}

    def number(self, value: T) -> int:
        number = self._known.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


_Flat = tuple[int, ...]
"""Lengths and outcomes in turn."""
_Spans = frozenset[tuple[int, int, int]]
"""Length, first address and outcome of every run."""


class _Over(NamedTuple):
    """A list of runs that is another one in most places. over: the others: addresses left out, length and outcome in
    turn."""

    base: int
    over: tuple[int, ...]


class _Ink:
    """One subject while its views are drawn."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._enforcer = Enforcer(subject.side.policy)
        self._stretcher = Stretcher(subject.side.policy)
        self.outcomes: _Once[Outcome] = _Once()
        self.runs: _Once[_Flat | _Over] = _Once()
        self.told: _Once[tuple[bool, tuple[Step, ...]]] = _Once()
        self.rows: _Once[_Row] = _Once()
        self.tables: _Once[tuple[int, ...]] = _Once()
        self._firsts: dict[tuple[str, str, int], tuple[int, _Spans]] = {}
        self._numbers: dict[int, tuple[object, int]] = {}
        self._drawn: dict[tuple[Variant, str], dict[str, Any]] = {}

    def view(self, variant: Variant, name: str) -> dict[str, Any]:
        """What stands in the page of one variant on one target: run lists by column, those of ports by themselves
        by port column, and its table."""
        decisions = self.subject.side.maps[variant]
        key = (variant, name)
        if key not in self._drawn:
            images = self.subject.images[variant][name]
            try:
                exiting = exits(name, images)
            except ValueError as reason:
                raise UnreadableError(f"{self.subject.said}: {reason}") from None
            self._drawn[key] = {
                "columns": self._numbered((name, "columns"), self._enforcer.columns(decisions, name, exiting)),
                "ports": self._numbered((name, "ports"), self._enforcer.ports(decisions, name, exiting)),
                "table": self._known(decisions, lambda: self._table(decisions)),
            }
        return self._drawn[key]

    def _known(self, value: object, number: Callable[[], int]) -> int:
        """The number of a value that several views share, worked out once."""
        if id(value) not in self._numbers:  # The value is kept as well, lest another one get its id.
            self._numbers[id(value)] = value, number()
        return self._numbers[id(value)][1]

    def _numbered(self, what: tuple[str, str], found: Columns) -> list[int]:
        return [
            self._known(column, partial(self._list, (*what, position), column)) for position, column in enumerate(found)
        ]

    def _list(self, which: tuple[str, str, int], runs: Sequence[Enforced]) -> int:
        """A list of runs as it stands in the page; most differ in few places from the first one of that column
        and target."""
        number = self.outcomes.number
        spans = [(hi - lo + 1, lo, number(outcome)) for lo, hi, outcome in runs]
        if which in self._firsts:
            base, known = self._firsts[which]
            others = sorted((lo, size, outcome) for size, lo, outcome in set(spans) - known)
            if 2 * len(others) < len(spans):
                return self.runs.number(_Over(base, _gaps(others)) if others else self.runs.values[base])
        made = self.runs.number(tuple(each for size, _, outcome in spans for each in (size, outcome)))
        self._firsts.setdefault(which, (made, frozenset(spans)))
        return made

    def _table(self, decisions: DecisionMap) -> int:
        msr, io = self._stretcher.stretches(decisions)
        numbers = [self.rows.number(self._row(each)) for each in (*msr, *io)]
        return self.tables.number(_spans(numbers))

    def _row(self, each: Stretch) -> _Row:
        told = self.told.number((each.traps, each.steps))
        return each.lo, each.hi, each.columns, told, tuple(number for number in each.rules if number >= 0)

    def fields(self) -> dict[str, Any]:
        policy = self.subject.side.policy
        files: _Once[str] = _Once()
        rules = [_rule(each, files) for each in policy.rules]
        return {
            "said": safe(self.subject.said),
            "facts": [safe(each) for each in self.subject.facts],
            "rules": rules,
            "files": [safe(each) for each in files.values],
            "outcomes": [_outcome(each) for each in self.outcomes.values],
            "runs": [each._asdict() if isinstance(each, _Over) else each for each in self.runs.values],
            "told": [_told(*each) for each in self.told.values],
            "rows": self.rows.values,
            "tables": self.tables.values,
            "unenforced": any(way.reason == UNENFORCED for each in self.outcomes.values for way in each.ways),
        }


def _gaps(runs: Iterable[tuple[int, int, int]]) -> tuple[int, ...]:
    """First address, length and outcome of runs in order; the addresses between them instead of where they begin."""
    out: list[int] = []
    at = 0
    for lo, size, outcome in runs:
        out += (lo - at, size, outcome)
        at = lo + size
    return tuple(out)


def _spans(numbers: Iterable[int]) -> tuple[int, ...]:
    """Numbers that follow one another, as the first one and how many there are, in turn."""
    out: list[int] = []
    for number in numbers:
        if out and number == out[-2] + out[-1]:
            out[-1] += 1
        else:
            out += (number, 1)
    return tuple(out)


class _Scope(NamedTuple):
    """One choice of profile, vCPUs and target. variants: before (in a comparison) and now. vcpus: those meant."""

    profile: str | None
    vcpus: Intervals
    target: str
    variants: tuple[Variant, ...]


def drawing(subjects: Sequence[Subject], names: Database, findings: Findings | None) -> dict[str, Any]:
    """Everything that the page knows. subjects: one, or the old and the new one of a comparison.

    findings: None where lint was not asked.
    """
    inks = [_Ink(each) for each in subjects]
    changes: _Once[tuple[Difference, ...]] = _Once()
    views = []
    for scope in _scopes(subjects):
        drawn = [ink.view(variant, scope.target) for ink, variant in zip(inks, scope.variants, strict=True)]
        view: dict[str, Any] = {
            "profile": None if scope.profile is None else safe(scope.profile),
            "vcpus": _vcpus(scope.vcpus),
            "target": scope.target,
            "sides": drawn,
        }
        if len(subjects) == 2:
            view["base"] = scope.variants[0].profile
            view["changes"] = changes.number(_differences(subjects[0], subjects[1], scope))
        views.append(view)
    shown = sorted({each.target for each in _scopes(subjects)})
    masks = {columns for ink in inks for _, _, columns, _, _ in ink.rows.values}
    masks |= {each.columns for found in changes.values for each in found}
    return {
        "made": f"policyc {__version__}, database {names.version}",
        "kinds": KINDS_OF_OUTCOME,
        "columns": COLUMN_NAMES,
        "access": {str(mask): columns_text(mask) for mask in sorted(masks)},
        "sides": [ink.fields() for ink in inks],
        "views": views,
        "gone": _gone(subjects),
        "changes": [{"said": _said(found), "list": [_difference(each) for each in found]} for found in changes.values],
        "windows": {name: _windows(name) for name in shown},
        "names": {MSR: _msr_names(names), IO: _port_names(names)},
        "findings": None if findings is None else _findings(findings, subjects[-1].side),
    }


def _scopes(subjects: Sequence[Subject]) -> Iterator[_Scope]:
    """Every view that the page offers, in the order of its menus."""
    new = subjects[-1]
    if len(subjects) == 1:
        for profile in new.profiles:
            for number, each in enumerate(new.side.policy.vcpu_classes):
                for name in new.targets:
                    yield _Scope(profile, each.vcpus, name, (Variant(profile, number),))
        return
    old = subjects[0]
    known = {variant.profile for variant in old.images}
    for profile in new.profiles:
        base = profile if profile in known else None
        for left, one in enumerate(old.side.policy.vcpu_classes):
            for right, other in enumerate(new.side.policy.vcpu_classes):
                vcpus = intersect(one.vcpus, other.vcpus)
                for name in new.targets if vcpus else ():
                    if name in old.targets:
                        yield _Scope(profile, vcpus, name, (Variant(base, left), Variant(profile, right)))


def _gone(subjects: Sequence[Subject]) -> list[str]:
    """Profiles that the old policy has and the new one has not, where both are shown as a whole."""
    old, new = subjects[0], subjects[-1]
    if None not in old.profiles or None not in new.profiles:
        return []
    return [safe(each) for each in old.profiles if each is not None and each not in new.profiles]


def _differences(old: Subject, new: Subject, scope: _Scope) -> tuple[Difference, ...]:
    view = View(scope.target, subtract(_EVERY, target(scope.target).msr_windows))
    before, after = (
        Judge(each.side.policy, each.side.maps[variant], view)
        for each, variant in zip((old, new), scope.variants, strict=True)
    )
    return tuple(sorted(differences(Pair(before, after)), key=_order))


def _order(each: Difference) -> tuple[int, bool, bool, Intervals, int]:
    """What opens first, then what closes; of changes those to a weaker action first."""
    stricter = each.kind == CHANGES and not each.weaker
    return KINDS.index(each.kind), stricter, each.space == IO, each.ranges, each.columns


# values


def _rule(rule: Rule, files: _Once[str]) -> list[Any]:
    """File, line, label, statement, profile, comment."""
    span = rule.statement
    return [
        files.number(span.source.name),
        span.line,
        None if rule.label is None else safe(rule.label),
        _quoted(span.text),
        None if rule.profile is None else safe(rule.profile),
        _quoted(" ".join(rule.doc)),
    ]


def _quoted(text: str, longest: int = _LONGEST_TEXT) -> str:
    """On one line, cut where it is long."""
    plain = " ".join(text[: 4 * longest].split())
    return safe(plain if len(plain) <= longest else f"{plain[: longest - 4]} ...")


def _outcome(outcome: Outcome) -> list[Any]:
    """Kind, whether it exits, and the ways: when, actions, rule, reason, kind."""
    ways = []
    for each in outcome.ways:
        kind = KINDS_OF_OUTCOME.index(Outcome(outcome.exits, (each,)).kind)
        rule = -1 if each.rule is None else each.rule
        ways.append([each.when, safe(actions_text(each.actions)), rule, each.reason, kind])
    return [KINDS_OF_OUTCOME.index(outcome.kind), int(outcome.exits), ways]


def _told(traps: bool, steps: Sequence[Step]) -> list[Any]:
    """Kind, steps (when, actions)."""
    ways = tuple(Way("", step.actions, None, "") for step in steps)
    kind = KINDS_OF_OUTCOME.index(Outcome(traps, ways).kind)
    return [kind, [[_when(step.conditions), safe(actions_text(step.actions))] for step in steps]]


def _when(conditions: Sequence[Condition]) -> str:
    return " and ".join(map(condition_text, conditions))


def _said(found: Sequence[Difference]) -> list[list[str]]:
    """What ``policyc diff`` would say in its first lines, by kind."""
    kinds = ((kind, [Found(each, ()) for each in found if each.kind == kind]) for kind in KINDS)
    return [[kind, headline(kind, these)] for kind, these in kinds if these]


def _difference(each: Difference) -> dict[str, Any]:
    return {
        "kind": each.kind,
        "weaker": each.kind == CHANGES and each.weaker,
        "space": each.space,
        "columns": each.columns,
        "ranges": [list(pair) for pair in each.ranges],
        "total": each.total,
        "starts": each.starts,
        "old": _fate(each.old),
        "new": _fate(each.new),
    }


def _fate(fate: Fate) -> list[list[Any]]:
    """Links: when, actions, rule (-1: the default)."""
    return [
        [_when(link.conditions), safe(actions_text(link.actions)) if link.traps else "passthrough", number]
        for link, number in zip(fate.links, _numbers(fate), strict=False)
    ]


def _numbers(fate: Fate) -> Iterator[int]:
    yield from fate.rules
    while True:
        yield DEFAULT_RULE


def _vcpus(vcpus: Intervals) -> str:
    if vcpus == ((0, VCPU_LAST),):
        return "all"
    shown = ", ".join(f"{lo}" if lo == hi else f"{lo}..{hi}" for lo, hi in vcpus[:6])
    return f"{shown}, ..." if len(vcpus) > 6 else shown


def _windows(name: str) -> list[list[int]]:
    """The MSRs that are drawn. KVM decides every MSR: those that a processor's bitmaps have are drawn, all are listed."""
    windows = target("svm" if name == "kvm" else name).msr_windows
    return [[lo, hi] for lo, hi in windows]


def _msr_names(names: Database) -> list[list[Any]]:
    """First, members, stride, name, about: of the entries that name their number in messages."""
    rows = []
    for each in names.entries(MSR):
        first = names.msr_name(each.lo)
        if first in (each.name, f"{each.name}[0]"):
            rows.append([each.lo, each.members, each.stride, safe(each.name), _quoted(each.about)])
    return sorted(rows)


def _port_names(names: Database) -> list[list[Any]]:
    """First, last, members, stride, name, about; the widest first, so that what is found last is the narrowest."""
    rows = [
        [each.lo, each.hi, each.members, each.stride, safe(each.name), _quoted(each.about)]
        for each in names.entries(IO)
    ]
    return sorted(rows, key=lambda row: (row[0] - row[1], row))


def _findings(findings: Findings, side: Side) -> dict[str, Any]:
    lines = {(each.statement.source.name, each.statement.line) for each in side.policy.rules}
    ordered = sorted(findings.found, key=lambda each: (ERROR, WARNING, INFO).index(each.severity))
    return {
        "note": findings.note,
        "more": max(0, len(findings.found) - _MOST_FINDINGS),
        "list": [_finding(each, lines) for each in ordered[:_MOST_FINDINGS]],
    }


def _finding(each: Diagnostic, lines: Set[tuple[str, int]]) -> dict[str, Any]:
    """lines: files and lines where rules stand."""
    span = None if each.primary is None else each.primary.span
    return {
        "code": each.code,
        "slug": each.slug,
        "severity": each.severity,
        "message": _quoted(each.message),
        "place": None if span is None else f"{safe(span.source.name)}:{span.line}",
        "rule": span is not None and (span.source.name, span.line) in lines,
        "notes": [_quoted(note) for note in each.notes],
        "helps": [_quoted(help_, _LONGEST_HELP) for help_ in each.helps],
        "find": _named(each),
    }


def _named(each: Diagnostic) -> str:
    """The addresses that the finding's remedy is about, in the words of the page's search box; empty if it has none."""
    for words in each.helps:
        said = _REMEDY.search(words)
        if said is not None:
            return f"{said[1]}:{re.sub('[{} ]', '', said[2])}"
    return ""
