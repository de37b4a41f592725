"""Whether an edited policy holds together: only what a changed rule can have to do with is looked at again.

A clash, or a promise that a processor cannot keep, is a matter of the addresses at which it happens. So a policy of
the rules that share an address with a changed one, cut to the addresses that changed, is judged instead of the whole.
What the part breaks of a target's promises is a suspicion only: then the whole policy is judged.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from policyc.database.names import Database
from policyc.emitters.functions import problems as function_problems
from policyc.semantics.check import check
from policyc.semantics.claims import claims
from policyc.semantics.conflicts import Clash, clashes, told
from policyc.semantics.decide import decide_all
from policyc.semantics.limits import few
from policyc.semantics.outcomes import failures, run_tests
from policyc.semantics.overlaps import Pair
from policyc.semantics.policy import DecisionMap, Policy, Rule, Run, Variant
from policyc.targets.registry import DEFAULT, target
from policyc.targets.selection import select
from policyc.vocabulary import intervals
from policyc.vocabulary.access import COLUMNS, IO, MSR, MSR_LAST, PORT_LAST, column_space
from policyc.vocabulary.diagnostic import ERROR, Diagnostic
from policyc.vocabulary.intervals import Intervals

MOST_CHANGED = 64
"""Rules that changed at once up to which the rest is taken for good."""
MOST_CONDITIONAL = 500
"""Rules with conditions up to which clashes are a matter of the address alone: of more, not all can be compared."""


class Judged(NamedTuple):
    """rules: the policy's, as policyc.semantics.reresolve.Memory has them: the same objects while they do not change.
    maps: None where nobody has needed them yet. clean: the last judgement without errors, None for itself."""

    policy: Policy
    rules: tuple[Rule, ...]
    errors: tuple[Diagnostic, ...]
    targets: tuple[str, ...]
    maps: Mapping[Variant, DecisionMap] | None
    clean: Judged | None = None


def judge(policy: Policy, rules: Sequence[Rule], database: Database, last: Judged | None) -> Judged:
    """The errors of a policy that resolves. last: the judgement before the edit, None for the first one."""
    rules = tuple(rules)
    clean = last if last is None or not last.errors else last.clean
    if clean is None or _frame(policy) != _frame(clean.policy) or len(rules) != len(policy.rules):
        return _whole(policy, rules, database)
    head, tail = _common(clean.rules, rules)
    old, new = clean.rules[head : len(clean.rules) - tail], policy.rules[head : len(rules) - tail]
    if len(old) + len(new) > MOST_CHANGED or sum(1 for each in rules if each.conditions) > MOST_CONDITIONAL:
        return _whole(policy, rules, database)._replace(clean=clean)
    touched = {space: _ranges((*old, *new), space) for space in (MSR, IO)}
    part, numbers = _part(policy, touched)
    claimed = bool(policy.asserts or policy.nevers or policy.tests or any(name == "kvm" for name, _ in policy.targets))
    found = _clashes(policy, part, numbers, database) if old or new else []
    if (found and claimed) or ((old or new) and _suspicious(policy, part, new)):
        return _whole(policy, rules, database)._replace(clean=clean)
    maps = None
    if clean.maps is not None and len(old) == len(new):
        maps = _patched(clean.maps, decide_all(part), touched, numbers) if new else clean.maps
    if claimed:
        maps = maps or decide_all(policy)
        found = _broken(policy, maps, database)
    return Judged(policy, rules, few(found), clean.targets, maps, clean if found else None)


def _whole(policy: Policy, rules: tuple[Rule, ...], database: Database) -> Judged:
    """As policyc.pipeline.judge does it."""
    maps = decide_all(policy)
    chosen = select(policy, tuple(maps.values()), None)
    found = [*chosen.diagnostics, *check(policy, maps, database), *function_problems(policy)]
    found += failures(run_tests(policy, maps, database))
    errors = tuple(each for each in few(found) if each.severity == ERROR)
    return Judged(policy, rules, errors, chosen.targets, maps)


def _frame(policy: Policy) -> tuple[object, ...]:
    """What decides beside the rules."""
    return policy.defaults, policy.profiles, policy.vcpu_classes, policy.targets, policy.name


def _common(old: Sequence[Rule], new: Sequence[Rule]) -> tuple[int, int]:
    """Rules that are the same objects at the beginnings, and at the ends."""
    most = min(len(old), len(new))
    head = next((at for at in range(most) if old[at] is not new[at]), most)
    tail = next((at for at in range(most - head) if old[-1 - at] is not new[-1 - at]), most - head)
    return head, tail


def _ranges(rules: Iterable[Rule], space: str) -> Intervals:
    return intervals.union(*(each.ranges for each in rules if each.space == space))


def _part(policy: Policy, touched: Mapping[str, Intervals]) -> tuple[Policy, list[int]]:
    """The policy without rules elsewhere, the others cut to the addresses that are touched; and their numbers in the
    whole policy."""
    kept: list[Rule] = []
    numbers: list[int] = []
    bounds = {space: (ranges[0][0], ranges[-1][1]) if ranges else (1, 0) for space, ranges in touched.items()}
    for rule in policy.rules:
        lo, hi = bounds[rule.space]
        if not rule.ranges or rule.ranges[-1][1] < lo or hi < rule.ranges[0][0]:
            continue
        inside = intervals.intersect(rule.ranges, touched[rule.space])
        if inside:
            numbers.append(rule.number)
            kept.append(rule._replace(number=len(kept), ranges=inside))
    return policy._replace(rules=tuple(kept), asserts=(), nevers=(), tests=()), numbers


def _clashes(policy: Policy, part: Policy, numbers: Sequence[int], database: Database) -> list[Diagnostic]:
    """Clashes of a policy that had none before: found in the part, told of the whole rules."""
    found: list[Clash | Diagnostic] = []
    for each in clashes(part):
        if isinstance(each, Clash):
            earlier, later = (policy.rules[numbers[rule.number]] for rule in each.pair)
            each = each._replace(pair=Pair(earlier, later))
        found.append(each)
    return sorted(told(policy, found, database), key=Diagnostic.sort_key)


def _suspicious(policy: Policy, part: Policy, new: Sequence[Rule]) -> bool:
    """Whether the changed rules may break what a target or C can do."""
    if any(each.actions[-1].name == "forward" for each in new) and function_problems(policy):
        return True
    maps = tuple(decide_all(part).values())
    # Without a target in the policy, one of the default ones that can express it is enough.
    names = [name for name, _ in policy.targets if name != "kvm"] or ([] if policy.targets else [DEFAULT[0]])
    return any(each.severity == ERROR for name in names for each in target(name).problems(part, maps))


def _broken(policy: Policy, maps: Mapping[Variant, DecisionMap], database: Database) -> list[Diagnostic]:
    """Assertions and tests that fail, and what KVM's filter cannot say: it has 16 ranges for the whole policy."""
    found = [*claims(policy, maps, database), *failures(run_tests(policy, maps, database))]
    if any(name == "kvm" for name, _ in policy.targets):
        found += target("kvm").problems(policy, tuple(maps.values()))
    return [each for each in found if each.severity == ERROR]


# decisions


def _patched(
    maps: Mapping[Variant, DecisionMap],
    part: Mapping[Variant, DecisionMap],
    touched: Mapping[str, Intervals],
    numbers: Sequence[int],
) -> dict[Variant, DecisionMap]:
    """The decisions of before, with those of the part at the addresses that are touched."""
    out = {}
    made: dict[tuple[int, int], tuple[Run, ...]] = {}
    for variant, old in maps.items():
        columns = []
        for column in COLUMNS:
            now = part[variant].columns[column]
            key = (id(old.columns[column]), id(now))
            if key not in made:
                space = column_space(column)
                made[key] = _spliced(
                    old.columns[column], now, touched[space], numbers, MSR_LAST if space == MSR else PORT_LAST
                )
            columns.append(made[key])
        out[variant] = DecisionMap(variant, part[variant].defaults, tuple(columns))
    return out


def _spliced(
    old: tuple[Run, ...], now: tuple[Run, ...], touched: Intervals, numbers: Sequence[int], last: int
) -> tuple[Run, ...]:
    if not touched:
        return old
    lows, lows_now = [run.lo for run in old], [run.lo for run in now]
    out: list[Run] = []
    at = 0
    for lo, hi in touched:
        _append(out, _clipped(old, lows, at, lo - 1))
        inside = _clipped(now, lows_now, lo, hi)
        _append(out, [Run(run.lo, run.hi, tuple(n if n < 0 else numbers[n] for n in run.chain)) for run in inside])
        at = hi + 1
    _append(out, _clipped(old, lows, at, last))
    return tuple(out)


def _clipped(runs: tuple[Run, ...], lows: list[int], lo: int, hi: int) -> list[Run]:
    """The runs between two addresses, the outer ones cut."""
    if lo > hi:
        return []
    found = list(runs[bisect_right(lows, lo) - 1 : bisect_right(lows, hi)])
    found[0] = found[0]._replace(lo=lo)
    found[-1] = found[-1]._replace(hi=hi)
    return found


def _append(out: list[Run], more: list[Run]) -> None:
    """More runs behind others; equal neighbours are one."""
    if out and more and out[-1].chain == more[0].chain:
        more[0] = more[0]._replace(lo=out.pop().lo)
    out += more
