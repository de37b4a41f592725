"""What `prove` proves holds for every access that the evaluator is asked of; what it refutes, it refutes with one."""

from __future__ import annotations

from random import Random

import pytest

from policyc.analyses.diff import Side, side
from policyc.analyses.implication import DISJOINT, EQUIVALENT, IMPLIES, RELATIONS, Outcome, profile_pairs, prove
from policyc.proof.evaluate import evaluate
from policyc.semantics.policy import Policy, Variant
from policyc.vocabulary.intervals import contains
from tests.analyses.random_pairs import changed, outcomes, passes, some_policy
from tests.growth import seconds
from tests.proof.build import DEFAULTS, PASS, TRAP, act, policy, profile, rule, value

CLOSED = DEFAULTS._replace(msr=TRAP, io=TRAP)


def vmx_side(subject: Policy) -> Side:
    return side(subject._replace(targets=(("vmx", None),)))  # type: ignore[arg-type]


def proven(relation: str, left: Policy, right: Policy) -> Outcome:
    return prove(relation, vmx_side(left), vmx_side(right))


def breaks(relation: str, left, right) -> bool:
    if relation == EQUIVALENT:
        return bool(left != right)
    return passes(left) and passes(right) == (relation == DISJOINT)


def class_of(subject: Policy, vcpu: int) -> int:
    return next(index for index, each in enumerate(subject.vcpu_classes) if contains(each.vcpus, vcpu))


def hold(relation: str, left: Policy, right: Policy) -> bool:
    """Hold an answer to the evaluator; whether the statement holds."""
    got = proven(relation, left, right)
    if got.counterexample is not None:
        access, scope, _, _, known = got.counterexample
        vcpu = scope.vcpus[0][0]
        one = evaluate(left, Variant(scope.base, class_of(left, vcpu)), access, "vmx").actions
        other = evaluate(right, Variant(scope.profile, class_of(right, vcpu)), access, "vmx").actions
        assert known
        assert breaks(relation, one, other), got.counterexample
        return False
    for first, second in profile_pairs(vmx_side(left), vmx_side(right)):
        for vcpu in (0, 4095):
            ours = outcomes(left, Variant(first, class_of(left, vcpu)))
            theirs = outcomes(right, Variant(second, class_of(right, vcpu)))
            for (access, one), (_, other) in zip(ours, theirs, strict=True):
                assert not breaks(relation, one, other), f"{relation} is claimed, but {access}: {one}, {other}"
    return True


def pairs(seed: int) -> tuple[Policy, Policy]:
    """Two policies that are often enough alike, stricter, or closed but for different holes."""
    rng = Random(seed)
    left = some_policy(rng, 5)
    if seed % 3 == 0:
        return left, changed(rng, left)
    if seed % 3 == 1:
        right = left._replace(rules=left.rules[: rng.randint(0, len(left.rules))])
        return (left, right) if rng.random() < 0.5 else (right, left)
    right = some_policy(rng, 5)
    shut = [each._replace(msr=TRAP, io=rng.choice((TRAP, TRAP, PASS))) for each in (left.defaults, right.defaults)]
    return left._replace(defaults=shut[0], profiles=()), right._replace(defaults=shut[1], profiles=())


@pytest.mark.parametrize("relation", RELATIONS)
def test_answers_on_random_policies_are_those_of_the_evaluator(relation: str) -> None:
    answers = [hold(relation, *_without_profiles(*pairs(seed))) for seed in range(36)]
    assert 3 <= sum(answers) <= 33


@pytest.mark.slow
@pytest.mark.parametrize("relation", RELATIONS)
def test_answers_on_many_random_policies_are_those_of_the_evaluator(relation: str) -> None:
    answers = [hold(relation, *_without_profiles(*pairs(seed))) for seed in range(100, 500)]
    assert 30 <= sum(answers) <= 370


def _without_profiles(left: Policy, right: Policy) -> tuple[Policy, Policy]:
    """Rules of a profile stay only where the profile does."""
    kept = [
        each._replace(
            rules=tuple(
                rule._replace(number=number)
                for number, rule in enumerate(rule for rule in each.rules if each.profiles or rule.profile is None)
            )
        )
        for each in (left, right)
    ]
    return kept[0], kept[1]


def test_more_intercepts_imply_fewer_but_not_the_reverse() -> None:
    strict = policy(rule("msr", (5, 9)), rule("io", (0x60, 0x64)))
    lax = policy(rule("msr", (5, 5)), rule("io", (0x60, 0x60)))
    assert proven(IMPLIES, strict, lax).holds
    refuted = proven(IMPLIES, lax, strict).counterexample
    assert refuted is not None
    assert (refuted.access.kind, refuted.access.address) == ("rdmsr", 6)


def test_an_action_that_filters_is_no_pass_and_one_that_counts_is() -> None:
    masked = policy(rule("msr", (5, 5), columns=2, actions=act("count", "exit")))
    counted = policy(rule("msr", (5, 5), columns=2, actions=act("count", "passthrough")))
    assert not proven(IMPLIES, policy(), masked).holds
    assert proven(IMPLIES, policy(), counted).holds
    assert not proven(EQUIVALENT, policy(), counted).holds


def test_the_value_of_a_counterexample_meets_the_condition() -> None:
    some = policy(rule("io", (0x70, 0x70), columns=0b11100000, when=[value("==", 0x80, 0x80)], actions=act("drop")))
    refuted = proven(IMPLIES, policy(), some).counterexample
    assert refuted is not None
    assert (refuted.access.kind, refuted.access.address, refuted.access.value) == ("out", 0x70, 0x80)


def test_policies_that_share_no_port_are_disjoint_though_a_wide_access_reaches_both() -> None:
    one = policy(rule("io", (0x60, 0x61), verb="allow"), defaults=CLOSED)
    other = policy(rule("io", (0x62, 0x63), verb="allow"), defaults=CLOSED)
    assert proven(DISJOINT, one, other).holds
    both = policy(rule("io", (0x61, 0x62), verb="allow"), defaults=CLOSED)
    refuted = proven(DISJOINT, one, both).counterexample
    assert refuted is not None
    assert (refuted.access.address, refuted.access.width) == (0x61, 1)


def test_conditions_that_exclude_each_other_make_holes_disjoint() -> None:
    holes = [
        policy(rule("msr", (5, 5), columns=2, verb="allow", when=[value(op, 0, 1)]), defaults=CLOSED)
        for op in ("==", "!=")
    ]
    assert proven(DISJOINT, *holes).holds
    assert not proven(DISJOINT, holes[0], holes[0]).holds


def test_a_profile_is_compared_with_the_one_of_its_name_or_with_the_base() -> None:
    hole = rule("msr", (5, 5), verb="allow", profile="debug")
    opened = policy(rule("msr", (5, 5)), hole, profiles=(profile("debug"),))
    shut = policy(rule("msr", (5, 5)))
    refuted = proven(IMPLIES, opened, shut).counterexample
    assert refuted is not None
    assert (refuted.scope.base, refuted.scope.profile) == ("debug", None)
    assert proven(IMPLIES, opened, opened).holds
    assert prove(IMPLIES, vmx_side(opened), vmx_side(shut), [(None, None)]).holds


def test_a_thousand_rules_are_compared_in_twenty_milliseconds() -> None:
    rng = Random(1)
    kinds = (act("kill"), act("exit"), act("log", "exit"), act("drop"))
    rules = [
        rule("msr" if at % 2 else "io", (at * 7, at * 7 + rng.randint(0, 5)), actions=rng.choice(kinds))
        for at in range(1000)
    ]
    old = vmx_side(policy(*rules))
    new = vmx_side(policy(*rules[:500], rule("msr", (0x3000, 0x3004)), *rules[500:]))
    assert prove(IMPLIES, new, old).holds
    assert seconds(lambda: prove(IMPLIES, new, old), 0.02) < 0.02  # Several times as much where a walk is not in step.
