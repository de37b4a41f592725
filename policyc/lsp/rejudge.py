"""Whether an edited policy holds together: only what a changed rule can have to do with is looked at again.

A clash, or a promise that a processor cannot keep, is a matter of the addresses at which it happens. So a policy of
the rules that share an address with a changed one, cut to the addresses that changed, is judged instead of the whole.
What the part breaks of a target's promises is a suspicion only: then the whole policy is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from policyc.database.names import Database
from policyc.emitters.functions import problems as function_problems
from policyc.semantics.check import check, joined
from policyc.semantics.claims import claims
from policyc.semantics.conflicts import Clash, clashes, told
from policyc.semantics.decide import decide_all
from policyc.semantics.limits import few
from policyc.semantics.outcomes import failures, run_tests
from policyc.semantics.overlaps import COMPARISONS, Pair
from policyc.semantics.policy import Assertion, DecisionMap, Never, Policy, Rule, Variant
from policyc.targets.registry import DEFAULT, target
from policyc.targets.selection import select
from policyc.vocabulary import intervals
from policyc.vocabulary.access import IO, MSR, PORT_LAST, WIDTHS
from policyc.vocabulary.diagnostic import ERROR, Diagnostic
from policyc.vocabulary.intervals import Interval, Intervals

MOST_CHANGED = 64
"""Rules that changed at once up to which the rest is taken for good."""
_DEAREST = 25
"""What one question about conditions costs at most, of policyc.semantics.overlaps.COMPARISONS."""


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
    if len(old) + len(new) > MOST_CHANGED or not _comparable(rules):
        return _whole(policy, rules, database)._replace(clean=clean)
    clashing: list[Diagnostic] = []
    if old or new:
        touched = {space: _ranges((*old, *new), space) for space in (MSR, IO)}
        part, numbers = _near(policy, touched, cut=True)
        clashing = _clashes(policy, part, numbers, database)
        if _suspicious(policy, part, new):
            return _whole(policy, rules, database)._replace(clean=clean)
    found = _broken(policy, clashing, database)
    return Judged(policy, rules, few(found), clean.targets, None, clean if found else None)


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


def _comparable(rules: Iterable[Rule]) -> bool:
    """Whether a search for clashes can compare all rules with conditions: at no address there are too many of them."""
    conditional = [each for each in rules if each.conditions]
    edges = sorted(
        (edge, way) for each in conditional for lo, hi in each.ranges for edge, way in ((lo, 1), (hi + 1, 0))
    )
    deepest = depth = 0
    for _, way in edges:
        depth += 1 if way else -1
        deepest = max(deepest, depth)
    return len(edges) // 2 * deepest * _DEAREST < COMPARISONS


def _near(policy: Policy, touched: Mapping[str, Intervals], *, cut: bool) -> tuple[Policy, list[int]]:
    """The policy without rules that touch none of the addresses; and the numbers in the whole policy of those it has.

    cut: leave of the rules' addresses only the ones touched.
    """
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
            kept.append(rule._replace(number=len(kept), ranges=inside if cut else rule.ranges))
    return policy._replace(rules=tuple(kept)), numbers


def _clashes(policy: Policy, part: Policy, numbers: Sequence[int], database: Database) -> list[Diagnostic]:
    """Clashes of a policy that had none before: found in the part, told of the whole rules."""
    found: list[Clash | Diagnostic] = []
    for each in clashes(part):
        if isinstance(each, Clash):
            earlier, later = (policy.rules[numbers[rule.number]] for rule in each.pair)
            each = each._replace(pair=Pair(earlier, later))
        found.append(each)
    return told(policy, found, database)


def _suspicious(policy: Policy, part: Policy, new: Sequence[Rule]) -> bool:
    """Whether the changed rules may break what a target or C can do."""
    if any(each.actions[-1].name == "forward" for each in new) and function_problems(policy):
        return True
    maps = tuple(decide_all(part).values())
    # Without a target in the policy, one of the default ones that can express it is enough.
    names = [name for name, _ in policy.targets if name != "kvm"] or ([] if policy.targets else [DEFAULT[0]])
    return any(each.severity == ERROR for name in names for each in target(name).problems(part, maps))


def _broken(policy: Policy, clashing: list[Diagnostic], database: Database) -> list[Diagnostic]:
    """Clashes, assertions and tests that fail, and what KVM's filter cannot say: it has 16 ranges for the whole policy."""
    found = clashing
    if policy.asserts or policy.nevers or policy.tests:
        part, _ = _near(policy, _spoken_of(policy), cut=False)
        maps = decide_all(part)
        found = [*joined(clashing, claims(part, maps, database)), *failures(run_tests(part, maps, database))]
    if any(name == "kvm" for name, _ in policy.targets):
        found = [*found, *target("kvm").problems(policy, tuple(decide_all(policy).values()))]
    return [each for each in found if each.severity == ERROR]


def _spoken_of(policy: Policy) -> dict[str, Intervals]:
    """Addresses that claims and tests ask about; below a port, also those at which a wide access to it can begin."""
    found: dict[str, list[Interval]] = {MSR: [], IO: []}
    every: list[Assertion | Never] = [*policy.asserts, *policy.nevers]
    for each in every:
        found[each.space] += each.ranges
    for test in policy.tests:
        for case in test.cases:
            found[MSR if case.kind in ("rdmsr", "wrmsr") else IO].append((case.address, case.address))
    reach = max(WIDTHS) - 1
    ports = ((max(0, lo - reach), min(hi + reach, PORT_LAST)) for lo, hi in found[IO])
    return {MSR: intervals.normal(found[MSR]), IO: intervals.normal(ports)}
