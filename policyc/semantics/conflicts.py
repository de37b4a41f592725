"""E201, E202 and E203: rules of one layer that decide one access differently, and none of which outranks the other.

What counts as one layer, and as a clash in it:

* imported modules: two traps with different actions (E201); an ``allow`` of one module over a trap of another (E203);
* the main file, and each profile: two traps with different actions (E201);
* profiles of which neither extends the other, met in a profile that extends both: any two decisions (E201);
* ``override`` rules of all files (and of one profile's lineage): two traps with different actions, or an ``allow`` of
  one file over a trap of another (E202).

It is no clash where a higher unconditional rule, or an unconditional ``allow`` of the same layer, decides the access in
every variant in which the two rules meet; nor where their conditions never hold together, nor on different vCPUs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from policyc.semantics.addresses import Names
from policyc.semantics.conditions import disjoint
from policyc.semantics.overlaps import Camp, Member, Pair, Search, TooManyConditions
from policyc.semantics.policy import (
    LAYER_IMPORT,
    LAYER_MAIN,
    LAYER_OVERRIDE,
    LAYER_PROFILE,
    Actions,
    Policy,
    Profile,
    Rule,
)
from policyc.vocabulary import intervals
from policyc.vocabulary.access import COLUMNS, IO, MSR
from policyc.vocabulary.diagnostic import Diagnostic, error
from policyc.vocabulary.intervals import Interval, Intervals
from policyc.vocabulary.typed import NamedTuple

MOST = 100
"""Reports of clashes; the rest of the search is given up."""


class Contest(NamedTuple):
    """Rules that share a layer, and the rules that would decide before them, to be asked for once. profile: the one in
    which they meet."""

    code: str
    members: tuple[Member, ...]
    deciders: Iterable[Rule]
    rivals: Callable[[Camp, Camp], bool]
    profile: str | None = None


class Clash(NamedTuple):
    """Two rules that decide differently, and where. profile: the one in which they meet."""

    code: str
    pair: Pair
    overlap: Intervals
    columns: int
    profile: str | None


def conflicts(policy: Policy, names: Names | None = None) -> list[Diagnostic]:
    """Every rule that clashes with an earlier one, once; at most MOST reports and a closing one."""
    return told(policy, clashes(policy), names)


def told(policy: Policy, found: Iterable[Clash | Diagnostic], names: Names | None) -> list[Diagnostic]:
    """The reports of clashes, and a closing one if the search was given up."""
    several = list(found)
    if not several:
        return []
    from policyc.semantics import clash_reports as reports

    out = [each if isinstance(each, Diagnostic) else reports.report(policy, *each, names) for each in several]
    if len(out) >= MOST:
        out.append(reports.closing(out, MOST))
    return out


def clashes(policy: Policy) -> list[Clash | Diagnostic]:
    """Every rule that clashes with an earlier one, once; E004 where there is too much to compare."""
    found: list[Clash | Diagnostic] = []
    known: set[tuple[str, int]] = set()
    for contest in _contests(policy):
        try:
            pairs = _clashes(policy, contest, MOST - len(found))
        except TooManyConditions as reason:
            said = "more conditional rules overlap here than can be compared"
            found.append(error("E004", said, reason.rule.span, helps=("give rules that overlap the same action",)))
            continue
        for pair, overlap, columns in pairs:
            if (contest.code, pair.later.number) not in known:
                known.add((contest.code, pair.later.number))
                found.append(Clash(contest.code, pair, overlap, columns, contest.profile))
        if len(found) >= MOST:
            break
    return found


# contests


def _contests(policy: Policy) -> Iterator[Contest]:
    rules = policy.rules
    overrides = [rule for rule in rules if rule.layer == LAYER_OVERRIDE]
    shared = [rule for rule in overrides if rule.profile is None]
    mains = [rule for rule in rules if rule.layer == LAYER_MAIN]
    imports = [rule for rule in rules if rule.layer == LAYER_IMPORT]
    yield _traps(imports, [*shared, *mains])
    if len({rule.module for rule in imports}) > 1:
        members = tuple(Member(rule, Camp(() if rule.traps else None, rule.module)) for rule in imports)
        yield Contest("E203", members, _firm(chain(shared, mains)), _allow_over_trap)
    yield _traps(mains, shared)
    yield _overrides(shared, None)
    own: dict[str | None, list[Rule]] = {}
    private: dict[str | None, list[Rule]] = {}
    for rule in rules:
        if rule.profile is not None:
            (own if rule.layer == LAYER_PROFILE else private).setdefault(rule.profile, []).append(rule)
    for profile in policy.profiles:
        mine = own.get(profile.name, [])
        yield _traps(mine, chain(shared, private.get(profile.name, ())), profile.name)
        known = [name for name in profile.lineage if name in private]
        above = [rule for name in known for rule in private[name]]
        if above:
            yield _overrides(sorted((*shared, *above), key=_number), profile.name)
        if len(profile.parents) > 1:
            yield _siblings(policy, profile, chain(shared, above, mine), own)


def _traps(rules: Sequence[Rule], above: Iterable[Rule], profile: str | None = None) -> Contest:
    """Traps of one layer; its own allows decide before them."""
    allows = [rule for rule in rules if not rule.traps]
    members = tuple(Member(rule, Camp(rule.actions)) for rule in rules if rule.traps)
    return Contest("E201", members, _firm(chain(above, allows)), _different, profile)


def _overrides(rules: Sequence[Rule], profile: str | None) -> Contest:
    files = {rule.module for rule in rules}
    allows = [rule for rule in rules if not rule.traps] if len(files) == 1 else []
    members = tuple(Member(rule, Camp(_does(rule), rule.module)) for rule in rules)
    return Contest("E202", members, _firm(allows), _override_rivals, profile)


def _siblings(
    policy: Policy, profile: Profile, above: Iterable[Rule], own: Mapping[str | None, Sequence[Rule]]
) -> Contest:
    """Profiles that this one extends and of which neither extends the other. own: rules by profile, overrides left out."""
    lineage = {each.name: each.lineage for each in policy.profiles}

    def rivals(left: Camp, right: Camp) -> bool:
        if left.does == right.does or left.profile is None or right.profile is None:
            return False
        met_before = any({left.profile, right.profile} <= set(lineage[parent]) for parent in profile.parents)
        related = left.profile in lineage[right.profile] or right.profile in lineage[left.profile]
        return not met_before and not related

    members = tuple(
        Member(rule, Camp(_does(rule), profile=rule.profile))
        for rule in sorted((rule for name in profile.lineage[:-1] for rule in own.get(name, ())), key=_number)
    )
    return Contest("E201", members, _firm(above), rivals, profile.name)


def _firm(rules: Iterable[Rule]) -> Iterator[Rule]:
    return (rule for rule in rules if not rule.conditions)


def _number(rule: Rule) -> int:
    return rule.number


def _does(rule: Rule) -> Actions | None:
    return rule.actions if rule.traps else None


def _different(left: Camp, right: Camp) -> bool:
    return left.does != right.does


def _allow_over_trap(left: Camp, right: Camp) -> bool:
    return left.module != right.module and left.does != right.does


def _override_rivals(left: Camp, right: Camp) -> bool:
    if left.does is None or right.does is None:
        return left.does is not right.does and left.module != right.module
    return left.does != right.does


# the search


def _clashes(policy: Policy, contest: Contest, limit: int) -> list[tuple[Pair, Intervals, int]]:
    """Pairs with the addresses and the columns at which they clash, by the later rule."""
    members = _meeting(contest.members) if limit > 0 else []
    if len(members) < 2:
        return []
    contest = contest._replace(members=tuple(members), deciders=tuple(contest.deciders))
    search = Search(contest.rivals, limit)
    where: dict[int, tuple[Intervals, int]] = {}
    for members, deciders in _by_vcpus(policy, contest):
        done: set[tuple[frozenset[int], int]] = set()
        decided = _decided(deciders)
        for column in COLUMNS:
            mine = [each for each in members if each.rule.columns >> column & 1]
            key = (frozenset(each.rule.number for each in mine), _sort(mine, decided, column))
            if len(mine) > 1 and key not in done:
                done.add(key)
                search.sweep(mine, decided[column], column)
        for pair in search.found.values():
            if pair.later.number not in where:
                where[pair.later.number] = _where(pair, decided)
    return [(pair, *where[number]) for number, pair in sorted(search.found.items())]


def _meeting(members: Sequence[Member]) -> list[Member]:
    """The members at whose addresses one of another camp lies too. Of most policies these are few, and only they are
    compared column by column."""
    if len({member.camp for member in members}) < 2:
        return []
    camps: dict[tuple[str, Camp], list[Interval]] = {}
    for rule, camp in members:
        camps.setdefault((rule.space, camp), []).extend(rule.ranges)
    shared = {
        space: _covered_twice(intervals.normal(ranges) for (where, _), ranges in camps.items() if where == space)
        for space in (MSR, IO)
    }
    return [each for each in members if _touches(each.rule.ranges, shared[each.rule.space])]


def _covered_twice(sets: Iterable[Intervals]) -> Intervals:
    """Addresses in more than one of the sets."""
    out: list[Interval] = []
    reach = -1
    for lo, hi in sorted(pair for each in sets for pair in each):
        if lo <= reach:
            out.append((lo, min(hi, reach)))
        reach = max(reach, hi)
    return intervals.normal(out)


def _touches(ranges: Intervals, others: Intervals) -> bool:
    for lo, hi in ranges if others else ():
        at = bisect_left(others, lo, key=_last)
        if at < len(others) and others[at][0] <= hi:
            return True
    return False


def _last(interval: Interval) -> int:
    return interval[1]


def _decided(deciders: Sequence[Rule]) -> list[Intervals]:
    """By column: addresses that one of the rules decides. Columns that they do not tell apart share one value."""
    made: dict[tuple[int, ...], Intervals] = {}
    out = []
    for column in COLUMNS:
        mine = [rule for rule in deciders if rule.columns >> column & 1]
        key = tuple(rule.number for rule in mine)
        if key not in made:
            made[key] = intervals.union(*(rule.ranges for rule in mine))
        out.append(made[key])
    return out


def _sort(members: Iterable[Member], decided: Sequence[Intervals], column: int) -> int:
    """Columns with the same rules and deciders are swept once, unless a condition may see their widths."""
    if any(each.rule.conditions for each in members):
        return column
    return next(each for each in COLUMNS if decided[each] is decided[column])


def _by_vcpus(policy: Policy, contest: Contest) -> Iterator[tuple[list[Member], list[Rule]]]:
    """What takes part on each class of vCPUs; classes that see the same rules are one."""
    seen = set()
    for each in policy.vcpu_classes:
        if not each.vcpus:
            continue
        first = each.vcpus[0][0]
        members = [each for each in contest.members if _on(each.rule, first)]
        deciders = [rule for rule in contest.deciders if _on(rule, first)]
        key = (tuple(each.rule.number for each in members), tuple(rule.number for rule in deciders))
        if key not in seen:
            seen.add(key)
            yield members, deciders


def _on(rule: Rule, vcpu: int) -> bool:
    return rule.vcpus is None or intervals.contains(rule.vcpus, vcpu)


def _where(pair: Pair, decided: Sequence[Intervals]) -> tuple[Intervals, int]:
    """The addresses, and the columns, at which the two rules really meet."""
    both = intervals.intersect(pair.earlier.ranges, pair.later.ranges)
    met: list[Intervals] = []
    columns = 0
    for column in COLUMNS:
        if not pair.earlier.columns & pair.later.columns & 1 << column:
            continue
        if pair.earlier.conditions and disjoint(pair.earlier.conditions, pair.later.conditions, column):
            continue
        here = intervals.subtract(both, decided[column])
        if here:
            met.append(here)
            columns |= 1 << column
    return intervals.union(*met), columns
