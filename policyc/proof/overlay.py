"""What the evaluator expects of a variant with rules of its own, over the sheet of what all variants share.

Why nothing is missed: the evaluator reads an address only to ask which rules cover it (and what the hardware does
there, which no rule changes). Where none of the variant's own rules lies, that is as in the sheet below, with the same
ranks and the same default; so are its answers. Everywhere else, and for every access that touches such a port, it is
asked anew.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from policyc.proof.cells import Cell, Rank, cut
from policyc.proof.evaluate import Reading, read
from policyc.proof.expected import Chains, Evaluator, Held, Sheet, chains
from policyc.proof.rows import put, strips
from policyc.semantics.policy import Defaults, Policy, Rule, Run, Variant
from policyc.vocabulary.access import IO, MSR
from policyc.vocabulary.intervals import Intervals, normal, subtract, union

Piece = tuple[int, int] | tuple[int, int, tuple[int, ...]]
_REMEMBERED = 16
"""Overlays that are kept for the next variants, which may share them."""


class Overlay(Sheet):
    """The expected answers on one space. below: of what all share. own: the other rules in force, at least one."""

    def __init__(self, below: Sheet, own: Reading) -> None:
        self.space, self.last, self.evaluator = below.space, below.last, below.evaluator
        self.defaults, self.default = own.defaults, below.default
        self.below = below
        self._ranked = {each[1].number: each for each in own.rules}
        mine = [cell for cell in cut(list(own.rules), self.evaluator.kinds, (0,), self.last) if cell.rules]
        self.cells = [cell for each in mine for cell in _joined(each, below)]
        self._lows = [cell.lo for cell in self.cells]
        self.answers = [self.evaluator.answer(self, cell) for cell in self.cells]
        self.changed: Intervals = normal((cell.lo, cell.hi) for cell in mine)
        self._images = {}
        self._meetings = {}

    def ranked(self, number: int) -> tuple[Rank, Rule]:
        return self._ranked.get(number) or self.below.ranked(number)

    def within(self, lo: int, hi: int) -> list[Held]:
        """As of any sheet, but cells of the sheet below end where own rules begin."""
        out: list[Held] = []
        for a, b, own in self.parts(lo, hi):
            if own:
                out += self.own(a, b)
                continue
            for cell, answer in self.below.within(a, b):
                out.append((cell._replace(lo=max(cell.lo, a), hi=min(cell.hi, b)), answer))
        return out

    def own(self, lo: int, hi: int) -> list[Held]:
        """The cells of lo..hi, all of which lies where own rules do."""
        return super().within(lo, hi)

    def parts(self, lo: int, hi: int) -> Iterator[tuple[int, int, bool]]:
        """lo..hi in stretches, and whether own rules lie there."""
        at = lo
        for a, b in self.changed[bisect_left(self.changed, lo, key=_end) :]:
            if a > hi:
                break
            if a > at:
                yield at, a - 1, False
            yield max(a, lo), min(b, hi), True
            at = b + 1
        if at <= hi:
            yield at, hi, False

    def runs(self, column: int) -> Chains:
        below = self.below.runs(column)
        out: list[tuple[int, int, tuple[int, ...]]] = []
        for lo, hi, own in self.parts(0, self.last):
            if own:
                part = list(chains(self.own(lo, hi), column))
            else:
                first, after = bisect_left(below, lo, key=_end), bisect_right(below, hi, key=_start)
                part = list(below[first:after])
                part[0] = (lo, *part[0][1:])
                part[-1] = (part[-1][0], hi, part[-1][2])
            if out and out[-1][2] == part[0][2]:
                part[0] = (out.pop()[0], *part[0][1:])
            out += part
        return tuple(out)

    def holds(self, column: int, found: tuple[Run, ...]) -> bool:
        return self.runs(column) == found

    def denied(self, column: int) -> Intervals:
        held = zip(self.cells, self.answers, strict=True)
        own = normal((cell.lo, cell.hi) for cell, answer in held if answer.bits["kvm"][column])
        return union(subtract(self.below.denied(column), self.changed), own)

    def written(self, target: str, name: str) -> int:
        value = self.below.image(target, name)
        for strip in strips(name):
            if strip.first > self.last:
                value = put(value, strip.start, strip.step, self.past(target))
                continue
            for lo, hi, own in self.parts(strip.first, strip.last):
                if own:
                    first = strip.start + (lo - strip.first) * strip.step
                    value = put(value, first, strip.step, self.stretch(target, strip.column, lo, hi))
        return value


def _joined(own: Cell, below: Sheet) -> Iterator[Cell]:
    """The cells where a cell of own rules lies over those of the sheet below."""
    for cell, _ in below.within(own.lo, own.hi):
        held = sorted(zip((*cell.rules, *own.rules), (*cell.kinds, *own.kinds), strict=True))
        rules, kinds = tuple([rule for rule, _ in held]), tuple([kind for _, kind in held])
        yield Cell(max(cell.lo, own.lo), min(cell.hi, own.hi), cell.edge, rules, kinds)


def _start(piece: Piece) -> int:
    return piece[0]


def _end(piece: Piece) -> int:
    return piece[1]


class Family:
    """The sheets of all variants of a policy. targets: those whose images are to be compared."""

    def __init__(self, policy: Policy, targets: frozenset[str]) -> None:
        self._policy = policy
        self._evaluator = Evaluator(policy, targets)
        shared = tuple(rule for rule in policy.rules if rule.profile is None and rule.vcpus is None)
        self._shared = read(policy._replace(rules=shared), Variant())
        self._special: dict[str | None, list[Rule]] = {}
        for rule in policy.rules:
            if rule.profile is not None or rule.vcpus is not None:
                self._special.setdefault(rule.profile, []).append(rule)
        self._lineages: dict[str | None, tuple[str | None, ...]] = {None: (None,)}
        self._lineages |= {each.name: (None, *each.lineage) for each in policy.profiles}
        self._below: dict[object, Sheet] = {}
        self._recent: dict[object, Sheet] = {}
        self.different: set[object] = set()

    def sheets(self, variant: Variant) -> tuple[Defaults, tuple[Sheet, Sheet]]:
        """What is expected of a variant: its defaults, MSRs, ports. different: counts variants that are not alike."""
        special = [rule for name in self._lineages[variant.profile] for rule in self._special.get(name, ())]
        special.sort(key=lambda rule: rule.number)
        own = read(self._policy._replace(rules=tuple(special)), variant)
        keys, found = zip(*(self._sheet(own, space) for space in (MSR, IO)), strict=True)
        self.different.add(keys)
        return own.defaults, (found[0], found[1])

    def _sheet(self, own: Reading, space: str) -> tuple[object, Sheet]:
        """A key that variants that are alike share, and the sheet."""
        default = (own.defaults.msr if space == MSR else own.defaults.io)[:2]
        if (space, default) not in self._below:
            self._below[space, default] = self._evaluator.sheet(Reading(own.defaults, self._shared.rules), space)
        ranked = tuple([each for each in own.rules if each[1].space == space])
        key = (space, default, *[(rank, rule.number) for rank, rule in ranked])
        if not ranked:
            return key, self._below[space, default]
        if key not in self._recent:
            if len(self._recent) >= _REMEMBERED:
                self._recent.clear()
            self._recent[key] = Overlay(self._below[space, default], Reading(own.defaults, ranked))
        return key, self._recent[key]
