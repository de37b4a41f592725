"""What becomes of every access once a target's images are in force: the policy's decisions, joined with the bits.

The decisions say what a handler does; the images say whether it is ever called. Both are shown as they are: where an
image lets pass what the decisions trap, the outcome says so instead of believing either.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from policyc.analyses.images import KINDS, read_image
from policyc.architecture.kvm import X2APIC_FIRST, X2APIC_LAST
from policyc.semantics.policy import DEFAULT_RULE, PASSTHROUGH, STRICTNESS, Actions, DecisionMap, Policy, Run
from policyc.semantics.verdicts import Chain, Judge, Stretch, Verdict, View
from policyc.semantics.wording import condition_text
from policyc.targets.registry import target
from policyc.vocabulary.access import (
    COLUMN_WIDTHS,
    COLUMNS,
    IN1,
    IO_COLUMNS,
    MSR_LAST,
    MSR_WRITE,
    OUT1,
    PORT_LAST,
    WIDTHS,
)
from policyc.vocabulary.intervals import Interval, Intervals, normal, subtract, union

PASSES, RELAYED = "passes", "relayed"
KINDS_OF_OUTCOME = (PASSES, RELAYED, *STRICTNESS[1:])
"""From the most open to the strictest. passes: no exit. relayed: it exits, and the handler passes it on. Else the
terminal action of the handler."""

RULE, DEFAULT, OUTSIDE, PAST = "rule", "default", "outside", "past"
SHARED = "shared"
"""It exits with others that share its bit, or a condition of its rule does not hold; the handler passes it on."""
X2APIC = "x2apic"
"""KVM never filters it."""
UNENFORCED = "unenforced"
"""The decisions trap it and the image lets it pass: not an image that policyc made of these decisions."""
EXTRA = "extra"
"""The image makes an MSR exit that no decision traps; harmless, but not what policyc made of these decisions."""

_EVERY: Intervals = ((0, MSR_LAST),)
_X2APIC: Intervals = ((X2APIC_FIRST, X2APIC_LAST),)


class Way(NamedTuple):
    """One thing that may become of an access. when: in words, for which value or privilege level; empty for all others.

    rule: its number, None where the default or the hardware decides. reason: one of the words above.
    """

    when: str
    actions: Actions
    rule: int | None
    reason: str


class Outcome(NamedTuple):
    """What may become of an access: one way, or several where its value or privilege level decides."""

    exits: bool
    ways: tuple[Way, ...]

    @property
    def kind(self) -> str:
        """The strictest of its ways, a member of KINDS_OF_OUTCOME."""
        if not self.exits:
            return PASSES
        strictest = max((each.actions[-1].name for each in self.ways), key=STRICTNESS.index)
        return RELAYED if strictest == "passthrough" else strictest


class Enforced(NamedTuple):
    """Accesses of one column that start at lo..hi and fare alike."""

    lo: int
    hi: int
    outcome: Outcome


Exiting = tuple[Intervals, ...]
"""By column, where the accesses start that exit."""


def exits(name: str, images: Mapping[str, bytes]) -> Exiting:
    """What exits on a target with these images. Raises ValueError for a file that is not the image its name says."""
    made = target(name)
    read = [read_image(image, data) for image, data in images.items() if image in KINDS]
    outside = subtract(_EVERY, made.msr_windows)
    msrs = [union(*(each.read or () for each in read), outside), union(*(each.write or () for each in read), outside)]
    if name == "kvm":
        msrs = [subtract(each, _X2APIC) for each in msrs]
    if not made.io_bitmap:
        return (*msrs, *[((0, PORT_LAST),)] * len(IO_COLUMNS))
    ports = union(*(each.ports for each in read if each.ports is not None))
    reaching = {width: _reaching(ports, width, made.always_exits_past_last_port) for width in WIDTHS}
    return (*msrs, *(reaching[COLUMN_WIDTHS[column]] for column in IO_COLUMNS))


def _reaching(ports: Intervals, width: int, past: bool) -> Intervals:
    """Where accesses of a width start that touch one of the ports. past: or that run past the last port."""
    reach = width - 1
    if not reach:
        return ports
    last = [(PORT_LAST - reach + 1, PORT_LAST)] if past else []
    return normal([*((lo - reach if lo > reach else 0, hi) for lo, hi in ports), *last])


Columns = tuple[tuple[Enforced, ...], ...]
"""By column, runs that cover its whole space; neighbours differ."""

_Known = dict[tuple[tuple[Chain, ...], bool, bool], Outcome]
"""Outcomes by the chains of an access's bytes, whether it lies outside the target's windows, and whether it exits."""


class _First(NamedTuple):
    """What is known of the variant that was asked first. runs, exiting: as sets, for others to be compared with.

    found: the answer; lows: where its runs begin.
    """

    runs: frozenset[Run]
    exiting: frozenset[Interval]
    found: tuple[Enforced, ...]
    lows: tuple[int, ...]


class _Sweep(NamedTuple):
    """One column of one variant. alone: each address as if no access touched another."""

    judge: Judge
    column: int
    alone: bool

    @property
    def runs(self) -> tuple[Run, ...]:
        return self.judge.decisions.columns[self.column]

    @property
    def meaning(self) -> Hashable:
        """What decides in this column beside the rules."""
        defaults = self.judge.decisions.defaults
        if self.column <= MSR_WRITE:
            return self.judge.view.target, defaults.msr.traps, defaults.msr.actions, defaults.outside
        return defaults.io.traps, defaults.io.actions

    @property
    def reach(self) -> int:
        """How many addresses above its own an access touches at most."""
        return 0 if self.alone or self.column <= MSR_WRITE else COLUMN_WIDTHS[self.column] - 1

    def stretches(self, lo: int, hi: int) -> Iterator[Stretch]:
        return self._alone(lo, hi) if self.alone else self.judge.stretches(self.column, lo, hi)

    def _alone(self, lo: int, hi: int) -> Iterator[Stretch]:
        width = COLUMN_WIDTHS[self.column]
        for at in range(bisect_right(self.runs, lo, key=lambda run: run.lo) - 1, len(self.runs)):
            first, last, chain = self.runs[at]
            if first > hi:
                return
            yield Stretch(max(first, lo), min(last, hi), (chain,) * width)


class Enforcer:
    """Answers for all variants and targets of one policy; what several of them share is worked out once.

    Variants differ in few places: of a variant that is not the first, only these are looked at.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._alike = not any(rule.conditions for rule in policy.rules)
        self._known: dict[Hashable, tuple[tuple[Run, ...], tuple[Enforced, ...]]] = {}
        self._first: dict[Hashable, _First] = {}
        self._outcomes: dict[Hashable, _Known] = {}

    def columns(self, decisions: DecisionMap, name: str, exiting: Exiting) -> Columns:
        """What becomes of every access of one variant on a target. exiting: of ``exits``."""
        judge = Judge(self.policy, decisions, View(name, subtract(_EVERY, target(name).msr_windows)))
        return tuple(self._column(_Sweep(judge, column, False), exiting[column]) for column in COLUMNS)

    def ports(self, decisions: DecisionMap, name: str, exiting: Exiting) -> Columns:
        """By port column, what becomes of each port by itself: as if an access of any width touched no other. What a rule
        names is what it decides here, whatever its neighbours do to wider accesses. exiting: of ``exits``."""
        judge = Judge(self.policy, decisions, View(name, ()))
        return tuple(self._column(_Sweep(judge, column, True), exiting[IN1]) for column in IO_COLUMNS)

    def _column(self, sweep: _Sweep, exiting: Intervals) -> tuple[Enforced, ...]:
        """Where no rule has conditions, the direction of an access makes no difference; ports are the same everywhere."""
        width, space = COLUMN_WIDTHS[sweep.column], sweep.column <= MSR_WRITE
        alike = (sweep.alone, sweep.meaning, (width, space) if self._alike else sweep.column)
        key = (id(sweep.runs), exiting, alike)
        if key not in self._known:
            first = self._first.get(alike)
            if first is None:
                found = tuple(_joined(self._cut(sweep, exiting, 0, MSR_LAST if space else PORT_LAST)))
                self._first[alike] = _First(
                    frozenset(sweep.runs), frozenset(exiting), found, tuple(each.lo for each in found)
                )
            else:
                found = self._altered(first, sweep, exiting)
            # The runs are kept beside the answer, so that no others get their id.
            self._known[key] = sweep.runs, found
        return self._known[key][1]

    def _altered(self, first: _First, sweep: _Sweep, exiting: Intervals) -> tuple[Enforced, ...]:
        """The first variant's answer, looked at anew where this one's runs or bits are others."""
        out: list[Enforced] = []
        kept = 0
        for start, end in _places(first, sweep, exiting):
            _extend(out, first.found[kept:start])
            for each in self._cut(sweep, exiting, first.found[start].lo, first.found[end].hi):
                _extend(out, (each,))
            kept = end + 1
        _extend(out, first.found[kept:])
        return tuple(out)

    def _cut(self, sweep: _Sweep, exiting: Intervals, lo: int, hi: int) -> Iterator[Enforced]:
        """Outcomes of the stretches in lo..hi, cut where exiting begins and ends."""
        found = self._stretches(sweep, exiting, lo, hi)
        return _unfiltered(found) if sweep.judge.view.target == "kvm" and sweep.column <= MSR_WRITE else found

    def _stretches(self, sweep: _Sweep, exiting: Intervals, lo: int, hi: int) -> Iterator[Enforced]:
        known = self._outcomes.setdefault((sweep.meaning, sweep.column, sweep.alone), {})
        for stretch in sweep.stretches(lo, hi):
            at = stretch.lo
            while at <= stretch.hi:
                end, exit_ = _next(exiting, at, stretch.hi)
                key = (stretch.chains, stretch.outside, exit_)
                if key not in known:
                    known[key] = self._outcome(sweep, stretch, exit_)
                yield Enforced(at, end, known[key])
                at = end + 1

    def _outcome(self, sweep: _Sweep, stretch: Stretch, exits: bool) -> Outcome:
        """Without conditions, all columns of one width share what becomes of an access."""
        judge, column = sweep.judge, sweep.column
        if judge.conditions(stretch):
            return _outcome(judge, stretch, column, exits)
        shared = self._outcomes.setdefault((sweep.meaning, COLUMN_WIDTHS[column]), {})
        key = (stretch.chains, stretch.outside, exits)
        if key not in shared:
            verdict = judge.combine(stretch, column, {})
            shared[key] = Outcome(exits, (Way("", *_concluded(verdict, exits, column, False)),))
        return shared[key]


def _places(first: _First, sweep: _Sweep, exiting: Intervals) -> Intervals:
    """Positions in the first variant's answer, whole runs of it, where another one's may differ."""
    runs = [(run.lo, run.hi) for run in set(sweep.runs) - first.runs]
    bits = first.exiting.symmetric_difference(exiting)
    lows = first.lows
    return normal(
        (bisect_right(lows, max(0, lo - sweep.reach)) - 1, bisect_right(lows, hi) - 1) for lo, hi in (*runs, *bits)
    )


def _extend(out: list[Enforced], further: Sequence[Enforced]) -> None:
    """Append runs of which neighbours differ, joined to the last one where that fares alike."""
    if out and further and further[0].outcome == out[-1].outcome:
        out[-1] = out[-1]._replace(hi=further[0].hi)
        further = further[1:]
    out.extend(further)


def _unfiltered(runs: Iterable[Enforced]) -> Iterator[Enforced]:
    """With the MSRs that KVM never filters as they are."""
    passes = Outcome(False, (Way("", PASSTHROUGH, None, X2APIC),))
    for run in runs:
        for lo, hi in subtract(((run.lo, run.hi),), _X2APIC):
            if lo > X2APIC_LAST and run.lo <= X2APIC_LAST:
                yield Enforced(max(run.lo, X2APIC_FIRST), X2APIC_LAST, passes)
            yield run._replace(lo=lo, hi=hi)
        if X2APIC_FIRST <= run.hi <= X2APIC_LAST:
            yield Enforced(max(run.lo, X2APIC_FIRST), run.hi, passes)


def _next(members: Intervals, at: int, last: int) -> tuple[int, bool]:
    """How far from ``at`` on (at most to last) addresses are alike in being members, and whether they are."""
    index = bisect_right(members, (at, MSR_LAST)) - 1
    if index >= 0 and members[index][1] >= at:
        return min(members[index][1], last), True
    return min(members[index + 1][0] - 1 if index + 1 < len(members) else last, last), False


def _joined(runs: Iterator[Enforced]) -> Iterator[Enforced]:
    held = next(runs)
    for each in runs:
        if each.outcome == held.outcome:
            held = held._replace(hi=each.hi)
        else:
            yield held
            held = each
    yield held


def _outcome(judge: Judge, stretch: Stretch, column: int, exits: bool) -> Outcome:
    verdicts = judge.verdicts(stretch, column)
    reached = {each._replace(value=0, cpl=0, known=True): each for each in reversed(verdicts)}
    said: dict[tuple[Actions, int | None, str], str] = {}
    for verdict, when in _told(judge, stretch, column, reached):
        said.setdefault(_concluded(verdict, exits, column, len(reached) > 1), when)
    return Outcome(exits, tuple(Way(when, *what) for what, when in said.items()))


def _told(
    judge: Judge, stretch: Stretch, column: int, reached: Mapping[Verdict, Verdict]
) -> Iterator[tuple[Verdict, str]]:
    """The verdicts that some access meets, each with the words for which one does."""
    if len(reached) == 1:
        yield next(iter(reached)), ""
        return
    chain = stretch.chains[0]
    if all(each == chain for each in stretch.chains):
        for link in chain:
            chains = tuple((link,) for _ in stretch.chains)
            verdict = judge.combine(stretch._replace(chains=chains), column, None)
            if verdict in reached:
                conditions = () if link == DEFAULT_RULE else judge.policy.rules[link].conditions
                yield verdict, " and ".join(map(condition_text, conditions))
        return
    subjects = {each.subject for each in judge.conditions(stretch)}
    for verdict, example in reversed(list(reached.items())):
        words = [f"cpl is {example.cpl}"] if "cpl" in subjects else []
        if "value" in subjects and (column == MSR_WRITE or column >= OUT1):
            words.insert(0, f"value is {example.value:#x}")
        yield verdict, f"{' and '.join(words)}, for instance" if example.known else "conditions allow it"


def _concluded(verdict: Verdict, exits: bool, column: int, several: bool) -> tuple[Actions, int | None, str]:
    """A verdict with what the image makes of it."""
    if exits and not verdict.intercepted:
        return PASSTHROUGH, None, SHARED if several or column >= IN1 else EXTRA
    if not exits and verdict.intercepted:
        return verdict.actions, verdict.rule, UNENFORCED
    return verdict.actions, verdict.rule, verdict.reason
