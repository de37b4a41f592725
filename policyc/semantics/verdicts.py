"""What becomes of an access, read off a decision map: the quick answer that claims and tests are judged by.

``policyc.proof.evaluate`` answers the same question from the rules alone and shares no code with this.

*Intercepted* means that the access exits because the policy says so: some byte of it is decided by an ``intercept`` or
``deny`` rule or by a default of ``exit``. An intercept whose action passes the access on (``-> count, passthrough``)
still exits, so it is intercepted. What exits only because it shares a bit with its neighbour is not: the policy does
not say so. An access that runs past port 0xffff is intercepted: every target lets it exit, whatever the policy says,
and where nothing stricter decides its other bytes it goes to the exit hook.

An MSR for which a target has no bit exits there (``default msr outside`` says what then happens). So the answer may
depend on the target, and a View says which MSRs have bits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from policyc.architecture import svm, vmx
from policyc.semantics.policy import (
    DEFAULT_RULE,
    EXIT,
    PASSTHROUGH,
    STRICTNESS,
    Action,
    Actions,
    Condition,
    DecisionMap,
    Policy,
    Run,
)
from policyc.semantics.witness import cases
from policyc.vocabulary.access import COLUMN_WIDTHS, MSR_LAST, MSR_WRITE, OUT1, PORT_LAST
from policyc.vocabulary.intervals import Intervals, subtract
from policyc.vocabulary.typed import NamedTuple

_NEED_EVERY_BYTE = ("const", "mask", "shadow")
_DROP = Action("drop")
_RANK = {name: rank for rank, name in enumerate(STRICTNESS)}

Chain = tuple[int, ...]


class View(NamedTuple):
    """A target as far as verdicts depend on it. without_bit: MSRs that always exit."""

    target: str
    without_bit: Intervals


_WINDOWS: dict[str, Intervals] = {"vmx": vmx.MSR_WINDOWS, "svm": svm.MSR_WINDOWS}
_DEFAULT_TARGETS = ("vmx", "kvm")


def views(policy: Policy) -> tuple[View, ...]:
    """One for each target that the policy names (by default vmx and kvm), in that order, without repetitions."""
    found: dict[Intervals, View] = {}
    for name in [name for name, _ in policy.targets] or _DEFAULT_TARGETS:
        windows = _WINDOWS.get(name)
        outside = () if windows is None else subtract(((0, MSR_LAST),), windows)
        found.setdefault(outside, View(name, outside))
    return tuple(found.values())


class Verdict(NamedTuple):
    """What becomes of an access with this value and cpl, and of all that meet the same conditions.

    intercepted: as the module says. rule: the number of the deciding rule; None where the default or the hardware
    decides. reason: ``rule``, ``default``, ``outside`` (an MSR without a bit) or ``past`` (beyond port 0xffff).
    known: False where the conditions are too many to tell whether any access gets here.
    """

    intercepted: bool
    actions: Actions
    rule: int | None
    reason: str
    value: int = 0
    cpl: int = 0
    known: bool = True

    @property
    def passes(self) -> bool:
        """Whether the access reaches the hardware as the guest wrote it."""
        return not self.intercepted or self.actions[-1].name == "passthrough"


class Stretch(NamedTuple):
    """Accesses that start at lo..hi and are decided alike. chains: one for each byte, lowest first; fewer than the
    width past the last port. outside: an MSR without a bit in this view."""

    lo: int
    hi: int
    chains: tuple[Chain, ...]
    outside: bool = False


class Judge:
    """Verdicts on the accesses of one variant, as one target sees them."""

    def __init__(self, policy: Policy, decisions: DecisionMap, view: View) -> None:
        self.policy = policy
        self.decisions = decisions
        self.view = view
        self._known: dict[tuple[tuple[Chain, ...], int, bool], tuple[Verdict, ...]] = {}
        self._ends: dict[int, list[int]] = {}

    def stretches(self, column: int, lo: int, hi: int) -> Iterator[Stretch]:
        """The accesses of a column that start at lo..hi, in order, cut where anything about them changes."""
        runs = self.decisions.columns[column]
        width = 1 if column <= MSR_WRITE else COLUMN_WIDTHS[column]
        ends = self._ends.get(id(runs))
        if ends is None:
            ends = self._ends[id(runs)] = [run.lo for run in runs]
        at = bisect_right(ends, lo) - 1
        first = lo
        while first <= hi:
            while runs[at].hi < first:
                at += 1
            chains, last = _bytes(runs, at, first, width)
            last = min(last, hi)
            if column <= MSR_WRITE:
                yield from self._windows(first, last, chains)
            else:
                yield Stretch(first, last, chains)
            first = last + 1

    def _windows(self, lo: int, hi: int, chains: tuple[Chain, ...]) -> Iterator[Stretch]:
        """MSRs with and without a bit, told apart."""
        at = lo
        for first, last in self.view.without_bit:
            if last < at or first > hi:
                continue
            if first > at:
                yield Stretch(at, first - 1, chains)
            at = max(at, first)
            yield Stretch(at, min(hi, last), chains, True)
            at = min(hi, last) + 1
        if at <= hi:
            yield Stretch(at, hi, chains)

    def verdicts(self, stretch: Stretch, column: int) -> tuple[Verdict, ...]:
        """All that the accesses of a stretch may meet, as their values and privilege levels go; at least one."""
        key = (stretch.chains, column, stretch.outside)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = tuple(self._all(stretch, column))
        return found

    def verdict(self, column: int, address: int, value: int, cpl: int) -> Verdict:
        """What becomes of one access."""
        from policyc.semantics.conditions import holds

        (stretch,) = self.stretches(column, address, address)
        truth = {each: holds(each, value, cpl) for each in self.conditions(stretch)}
        if column in (0, 2, 3, 4):
            truth = {each: true and each.subject != "value" for each, true in truth.items()}
        return self.combine(stretch, column, truth)._replace(value=value, cpl=cpl)

    def conditions(self, stretch: Stretch) -> list[Condition]:
        rules = self.policy.rules
        return [
            each
            for chain in stretch.chains
            for number in chain
            if number != DEFAULT_RULE
            for each in rules[number].conditions
        ]

    def _all(self, stretch: Stretch, column: int) -> Iterator[Verdict]:
        conditions = self.conditions(stretch)
        writes = column == MSR_WRITE or column >= OUT1
        ways = cases(conditions, 8 * COLUMN_WIDTHS[column] if writes else 0) if conditions else []
        if not conditions:
            yield self.combine(stretch, column, {})
        elif ways is not None:
            for way in ways:
                yield self.combine(stretch, column, way.truth)._replace(value=way.value, cpl=way.cpl)
        else:
            yield from self._unknown(stretch, column)

    def _unknown(self, stretch: Stretch, column: int) -> Iterator[Verdict]:
        """Every link of every byte as if it decided, beside the most open of the others: no way that an access may
        pass or be trapped is missed, some may not exist."""
        open_ = tuple((min(chain, key=lambda link: self._strictness(link, column)),) for chain in stretch.chains)
        for position, chain in enumerate(stretch.chains):
            for number in chain:
                chains = (*open_[:position], (number,), *open_[position + 1 :])
                yield self.combine(stretch._replace(chains=chains), column, None)._replace(known=False)

    def _strictness(self, link: int, column: int) -> tuple[bool, tuple[int, bool]]:
        return self.traps(link, column), _rank(self.actions(link, column))

    def combine(self, stretch: Stretch, column: int, truth: dict[Condition, bool] | None) -> Verdict:
        """Rules 4 and 5 of the law. truth None: the first link of every chain decides."""
        width = 1 if column <= MSR_WRITE else COLUMN_WIDTHS[column]
        rules = self.policy.rules
        links = []
        for chain in stretch.chains:
            for number in chain:
                if truth is None or number == DEFAULT_RULE or all(truth[each] for each in rules[number].conditions):
                    links.append(number)
                    break
        winner = links[0]
        for link in links[1:]:
            if _rank(self.actions(link, column)) > _rank(self.actions(winner, column)):
                winner = link
        actions = self.actions(winner, column)
        whole = len(links) == width and all(link == winner for link in links)
        if actions[-1].name in _NEED_EVERY_BYTE and not whole:
            actions = (*actions[:-1], _DROP)
        intercepted = any(self.traps(link, column) for link in links)
        if stretch.outside and winner == DEFAULT_RULE:
            return Verdict(True, self.decisions.defaults.outside, None, "outside")
        if len(links) < width:
            if actions[-1].name == "passthrough":
                return Verdict(True, EXIT, None, "past")
            intercepted = True
        rule = None if winner == DEFAULT_RULE else winner
        return Verdict(intercepted or stretch.outside, actions, rule, "default" if rule is None else "rule")

    def actions(self, link: int, column: int) -> Actions:
        if link != DEFAULT_RULE:
            return self.policy.rules[link].actions
        default = self.decisions.defaults.msr if column <= MSR_WRITE else self.decisions.defaults.io
        return default.actions if default.traps else PASSTHROUGH

    def traps(self, link: int, column: int) -> bool:
        if link != DEFAULT_RULE:
            return self.policy.rules[link].traps
        return (self.decisions.defaults.msr if column <= MSR_WRITE else self.decisions.defaults.io).traps


def _rank(actions: Actions) -> tuple[int, bool]:
    """Of the bytes of one access that with the highest rank decides, of equals the lowest."""
    return _RANK[actions[-1].name], len(actions) > 1


def _bytes(runs: Sequence[Run], at: int, first: int, width: int) -> tuple[tuple[Chain, ...], int]:
    """The chain of each byte of an access at ``first`` (in run ``at``), and the last start port with the same ones."""
    chains: list[Chain] = []
    last = runs[-1].hi
    end = runs[at].hi
    for byte in range(first, first + width):
        if byte > last:
            break
        while runs[at].hi < byte:
            at += 1
        chains.append(runs[at].chain)
        end = min(end, runs[at].hi - (byte - first))
    # The next start port at which one more byte falls off the end.
    if last == PORT_LAST and len(chains) == width:
        end = min(end, PORT_LAST - width + 1)
    elif last == PORT_LAST:
        end = first
    return tuple(chains), end
