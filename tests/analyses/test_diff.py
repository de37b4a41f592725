"""What `diff` says of two policies is what the evaluator says of every access under either, and nothing more."""

from __future__ import annotations

from random import Random

import pytest

from policyc.analyses.diff import CHANGES, CLOSES, OPENS, Comparison, Difference, Side, compare, side
from policyc.proof.evaluate import evaluate
from policyc.semantics.policy import Policy, Variant
from policyc.vocabulary.access import Access
from policyc.vocabulary.intervals import contains
from tests.analyses.random_pairs import MSRS, PORTS, changed, outcomes, passes, some_policy
from tests.proof.build import DEFAULTS, act, policy, profile, rule, value


def vmx_side(subject: Policy) -> Side:
    return side(subject._replace(targets=(("vmx", None),)))  # type: ignore[arg-type]


def compared(old: Policy, new: Policy) -> Comparison:
    return compare(vmx_side(old), vmx_side(new))


def covers(each: Difference, access: Access) -> bool:
    """Whether a difference speaks of an access: of a port that it touches, or of where it starts."""
    if not each.columns >> access.column & 1:
        return False
    wide = access.width if access.kind in ("in", "out") and not each.starts else 1
    return any(contains(each.ranges, access.address + byte) for byte in range(wide))


def kind(old, new) -> str | None:
    if old == new:
        return None
    return CHANGES if passes(old) == passes(new) else OPENS if passes(new) else CLOSES


def class_of(subject: Policy, vcpu: int) -> int:
    return next(index for index, each in enumerate(subject.vcpu_classes) if contains(each.vcpus, vcpu))


def hold(old: Policy, new: Policy) -> int:
    """Hold a comparison to the evaluator, access by access; how many accesses differ."""
    got = compared(old, new)
    differing = 0
    for scope in got.scopes:
        here = [each.difference for each in got.found if scope in each.where]
        vcpu = scope.vcpus[0][0]
        before = outcomes(old, Variant(scope.base, class_of(old, vcpu)))
        after = outcomes(new, Variant(scope.profile, class_of(new, vcpu)))
        explained: dict[tuple[Difference, int], bool] = {
            (each, address): False
            for each in here
            for address in (MSRS if each.space == "msr" else PORTS)
            if contains(each.ranges, address)
        }
        for (access, was), (_, is_) in zip(before, after, strict=True):
            how = kind(was, is_)
            if how is None:
                continue
            differing += 1
            told = [each for each in here if covers(each, access)]
            assert told, f"{access} goes from {was} to {is_} and is not told of"
            if how != CHANGES:
                assert how in [each.kind for each in told], f"{access} {how}, told as {told}"
            for each in told:
                if each.kind == how:
                    wide = access.width if access.kind in ("in", "out") and not each.starts else 1
                    for byte in range(wide):
                        if (each, access.address + byte) in explained:
                            explained[each, access.address + byte] = True
        for (each, address), seen in explained.items():
            assert seen, f"{each} is told of {address:#x}, where no access {each.kind}"
        for each in here:
            access, was, is_, known = each.example
            old_variant, new_variant = (
                Variant(scope.base, class_of(old, vcpu)),
                Variant(scope.profile, class_of(new, vcpu)),
            )
            assert known
            assert covers(each, access)
            assert evaluate(old, old_variant, access, "vmx").actions == was.actions
            assert evaluate(new, new_variant, access, "vmx").actions == is_.actions
            assert kind(was.actions, is_.actions) == each.kind
    assert got.same == (differing == 0 and {each.name for each in old.profiles} == {each.name for each in new.profiles})
    return differing


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_policy_differs_in_exactly_the_accesses_that_are_told(seed: int) -> None:
    rng = Random(seed)
    old = some_policy(rng)
    hold(old, changed(rng, old))


@pytest.mark.parametrize("seed", range(1000, 1010))
def test_unrelated_policies_differ_in_exactly_the_accesses_that_are_told(seed: int) -> None:
    rng = Random(seed)
    hold(some_policy(rng), some_policy(rng))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2000, 2600))
def test_many_policies_differ_in_exactly_the_accesses_that_are_told(seed: int) -> None:
    rng = Random(seed)
    old = some_policy(rng, 12)
    hold(old, changed(rng, old) if seed % 3 else some_policy(rng, 12))


def test_what_random_policies_differ_in_is_not_nothing() -> None:
    found = [hold(old, changed(rng, old)) for rng in map(Random, range(6)) for old in [some_policy(rng)]]
    assert sum(each > 0 for each in found) >= 4


def same(old: Policy, new: Policy) -> bool:
    return compared(old, new).same


def test_equal_meaning_in_other_words_is_no_difference() -> None:
    whole = policy(rule("io", (0x3F8, 0x3FF)), rule("msr", (0x10, 0x1F), columns=2))
    cut = policy(
        rule("msr", (0x18, 0x1F), columns=2),
        rule("io", (0x3FC, 0x3FF)),
        rule("msr", (0x10, 0x17), columns=2),
        rule("io", (0x3F8, 0x3FB), columns=0b11100),
        rule("io", (0x3F8, 0x3FD), columns=0b11100000),
    )
    assert same(whole, cut)


def test_conditions_are_compared_by_what_they_admit_and_not_by_their_words() -> None:
    odd = policy(rule("msr", (5, 5), columns=2, when=[value("!=", 0, 1)], actions=act("kill")))
    also_odd = policy(rule("msr", (5, 5), columns=2, when=[value("==", 1, 1)], actions=act("kill")))
    not_even = policy(
        rule("msr", (5, 5), columns=2, actions=act("kill")),
        rule("msr", (5, 5), columns=2, verb="allow", when=[value("==", 0, 1)]),
    )
    assert same(odd, also_odd)
    assert same(odd, not_even)
    even = policy(rule("msr", (5, 5), columns=2, when=[value("==", 0, 1)], actions=act("kill")))
    assert [each.difference.kind for each in compared(odd, even).found] == [OPENS, CLOSES]
    assert [each.difference.example.access.value for each in compared(odd, even).found] == [1, 0]


def test_a_condition_on_the_value_never_holds_for_a_read() -> None:
    assert same(policy(), policy(rule("msr", (5, 5), columns=1, when=[value("==", 0)], actions=act("kill"))))


def test_a_port_hidden_by_its_neighbours_at_that_width_is_no_difference() -> None:
    around = [rule("io", (0, 1), actions=act("kill")), rule("io", (3, 4), actions=act("kill"))]
    wide = rule("io", (2, 2), columns=0b10010000)  # dword accesses that touch port 2 touch 1 or 3 as well
    assert same(policy(*around), policy(*around, wide))


def test_one_constant_for_two_ports_is_not_two_constants_for_one() -> None:
    const = act("const")
    one = policy(rule("io", (0x80, 0x81), columns=0b11100, actions=const))
    two = policy(*(rule("io", (port, port), columns=0b11100, actions=const) for port in (0x80, 0x81)))
    (found,) = compared(one, two).found
    each = found.difference
    assert (each.kind, each.starts, each.ranges, each.columns) == (CHANGES, True, ((0x80, 0x80),), 1 << 3)


def test_one_rule_is_compared_in_every_profile_and_told_of_once() -> None:
    profiles = (profile("a"), profile("b"))
    old = policy(rule("msr", (5, 5)), rule("msr", (9, 9), profile="b"), profiles=profiles)
    new = policy(rule("msr", (9, 9), profile="b"), profiles=profiles)
    (found,) = compared(old, new).found
    assert [each.profile for each in found.where] == [None, "a", "b"]
    (found,) = compared(old, old._replace(rules=old.rules[:1])).found
    assert [each.profile for each in found.where] == ["b"]


def test_a_new_profile_is_compared_with_the_old_base_policy() -> None:
    base = rule("msr", (5, 5))
    old = policy(base)
    new = policy(base, rule("msr", (5, 5), verb="allow", profile="debug"), profiles=(profile("debug"),))
    got = compared(old, new)
    assert (got.added, got.removed) == (("debug",), ())
    assert [(each.difference.kind, [at.base for at in each.where]) for each in got.found] == [(OPENS, [None])]
    got = compared(new, old)
    assert (got.added, got.removed, got.found, got.same) == ((), ("debug",), (), False)


def test_vcpus_are_compared_where_both_policies_treat_them_alike() -> None:
    old = policy(rule("msr", (5, 5), vcpus=((0, 3),)), vcpus=(((0, 3),),))
    new = policy(rule("msr", (5, 5), vcpus=((2, 5),)), vcpus=(((2, 5),),))
    got = {each.difference.kind: [at.vcpus for at in each.where] for each in compared(old, new).found}
    assert got == {OPENS: [((0, 1),)], CLOSES: [((4, 5),)]}


def test_msrs_without_a_bit_follow_their_own_default() -> None:
    drop = DEFAULTS._replace(outside=act("drop"))
    (found,) = compared(policy(), policy(defaults=drop)).found
    assert found.difference.kind == CHANGES
    assert (found.difference.ranges[0], found.difference.ranges[-1]) == ((0x2000, 0xBFFFFFFF), (0xC0002000, 0xFFFFFFFF))


def test_a_change_to_a_more_open_action_is_told_before_one_to_a_stricter() -> None:
    old = policy(rule("msr", (5, 5), actions=act("exit")), rule("msr", (9, 9), actions=act("kill")))
    new = policy(rule("msr", (5, 5), actions=act("kill")), rule("msr", (9, 9), actions=act("exit")))
    found = [each.difference for each in compared(old, new).found]
    assert [(each.ranges[0][0], each.weaker) for each in found] == [(9, True), (5, False)]


def test_an_intercept_that_only_counts_differs_from_no_rule() -> None:
    (found,) = compared(policy(), policy(rule("msr", (5, 5), actions=act("count", "passthrough")))).found
    assert found.difference.kind == CHANGES
    (found,) = compared(policy(), policy(rule("msr", (5, 5), actions=act("passthrough")))).found
    assert found.difference.kind == CHANGES
