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
from policyc.semantics.verdicts import Judge, Stretch, Verdict, View
from policyc.semantics.wording import condition_text
from policyc.targets.registry import target
from policyc.vocabulary.access import COLUMN_WIDTHS, COLUMNS, IN1, IO_COLUMNS, MSR_LAST, MSR_WRITE, OUT1, PORT_LAST
from policyc.vocabulary.intervals import Intervals, normal, subtract, union

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


def port_bits(name: str, images: Mapping[str, bytes]) -> Intervals:
    """The ports whose bit makes a one-byte access exit; all of them on a target without an I/O bitmap."""
    return exits(name, images)[IN1]


def exits(name: str, images: Mapping[str, bytes]) -> tuple[Intervals, ...]:
    """By column, where the accesses start that exit on a target with these images. Raises ValueError for a file that
    is not the image its name says."""
    made = target(name)
    read = [read_image(image, data) for image, data in images.items() if image in KINDS]
    out: list[Intervals] = []
    outside = subtract(_EVERY, made.msr_windows)
    ports = union(*(each.ports for each in read if each.ports is not None))
    for column in COLUMNS:
        if column <= MSR_WRITE:
            found = union(*((each.write if column == MSR_WRITE else each.read) or () for each in read), outside)
            out.append(subtract(found, _X2APIC) if name == "kvm" else found)
        elif not made.io_bitmap:
            out.append(((0, PORT_LAST),))
        else:
            reach = COLUMN_WIDTHS[column] - 1
            past = ((PORT_LAST - reach + 1, PORT_LAST),) if reach and made.always_exits_past_last_port else ()
            out.append(normal([*((max(0, lo - reach), hi) for lo, hi in ports), *past]))
    return tuple(out)


Columns = tuple[tuple[Enforced, ...], ...]
"""By column, runs that cover its whole space; neighbours differ."""


class Enforcer:
    """Answers for all variants and targets of one policy; what several of them share is worked out once."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._alike = not any(rule.conditions for rule in policy.rules)
        self._known: dict[tuple[Hashable, ...], tuple[tuple[Run, ...], tuple[Enforced, ...]]] = {}

    def columns(self, decisions: DecisionMap, name: str, exiting: Sequence[Intervals]) -> Columns:
        """What becomes of every access of one variant on a target. exiting: of ``exits``."""
        judge = Judge(self.policy, decisions, View(name, subtract(_EVERY, target(name).msr_windows)))
        return tuple(self._column(judge, column, exiting[column]) for column in COLUMNS)

    def ports(self, decisions: DecisionMap, name: str, bits: Intervals) -> Columns:
        """By port column, what becomes of each port by itself: as if an access of any width touched no other. bits: of
        ``port_bits``. What a rule names is what it decides here, whatever its neighbours do to wider accesses."""
        judge = Judge(self.policy, decisions, View(name, ()))
        return tuple(tuple(_joined(_alone(judge, column, bits))) for column in IO_COLUMNS)

    def _column(self, judge: Judge, column: int, exiting: Intervals) -> tuple[Enforced, ...]:
        """Where no rule has conditions, the direction of an access makes no difference; ports are the same everywhere."""
        decisions = judge.decisions
        runs = decisions.columns[column]
        if column <= MSR_WRITE:
            where: Hashable = (judge.view.target, decisions.defaults.outside, decisions.defaults.msr)
        else:
            where = decisions.defaults.io
        key = (id(runs), COLUMN_WIDTHS[column] if self._alike else column, where, exiting)
        if key not in self._known:
            # The runs are kept beside the answer, so that no others get their id.
            self._known[key] = runs, tuple(_joined(_column(judge, column, exiting)))
        return self._known[key][1]


def _column(judge: Judge, column: int, exiting: Intervals) -> Iterator[Enforced]:
    last = MSR_LAST if column <= MSR_WRITE else PORT_LAST
    found = _cut(judge, column, judge.stretches(column, 0, last), exiting)
    yield from _unfiltered(found) if judge.view.target == "kvm" and column <= MSR_WRITE else found


def _alone(judge: Judge, column: int, bits: Intervals) -> Iterator[Enforced]:
    width = COLUMN_WIDTHS[column]
    stretches = (Stretch(lo, hi, (chain,) * width) for lo, hi, chain in judge.decisions.columns[column])
    return _cut(judge, column, stretches, bits)


def _cut(judge: Judge, column: int, stretches: Iterable[Stretch], exiting: Intervals) -> Iterator[Enforced]:
    """Outcomes of stretches, cut where exiting begins and ends."""
    known: dict[tuple[tuple[tuple[int, ...], ...], bool, bool], Outcome] = {}
    lows = [lo for lo, _ in exiting]
    for stretch in stretches:
        at = stretch.lo
        while at <= stretch.hi:
            hi, exit_ = _next(exiting, lows, at, stretch.hi)
            key = (stretch.chains, stretch.outside, exit_)
            if key not in known:
                known[key] = _outcome(judge, stretch, column, exit_)
            yield Enforced(at, hi, known[key])
            at = hi + 1


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


def _next(members: Intervals, lows: Sequence[int], at: int, last: int) -> tuple[int, bool]:
    """How far from ``at`` on (at most to last) addresses are alike in being members, and whether they are."""
    index = bisect_right(lows, at) - 1
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
