"""`decide` gives what the law says: against hand tables and against a decider that looks at one address at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policyc.semantics.decide import decide, decide_all, variants
from policyc.semantics.policy import DEFAULT_RULE, DecisionMap, Policy, Variant
from policyc.vocabulary.access import COLUMN_NAMES, IN1, IO, MSR, MSR_LAST, MSR_READ, MSR_WRITE, OUT1, PORT_LAST
from tests.growth import ratio
from tests.semantics.naive_chain import chain_of, drafts
from tests.semantics.policies import KILL, condition, defaults, make, profile, rule

BASE = Variant()


def shape(decisions: DecisionMap, column: int) -> list[tuple[int, int, tuple[int, ...]]]:
    return [tuple(run) for run in decisions.columns[column]]  # type: ignore[misc]


def table(policy: Policy, column: int, variant: Variant = BASE) -> list[tuple[int, int, tuple[int, ...]]]:
    return shape(decide(policy, variant), column)


def test_no_rules_is_one_default_run_per_column() -> None:
    decisions = decide(make(), BASE)
    for column, name in enumerate(COLUMN_NAMES):
        last = MSR_LAST if "msr" in name else PORT_LAST
        assert shape(decisions, column) == [(0, last, (DEFAULT_RULE,))]


def test_the_two_card_examples() -> None:
    policy = make(rule("intercept", MSR, 0xC0000080, "write"), rule("intercept", IO, (0x3F8, 0x3FF)))
    assert table(policy, MSR_READ) == [(0, MSR_LAST, (-1,))]
    assert table(policy, MSR_WRITE) == [
        (0, 0xC000007F, (-1,)),
        (0xC0000080, 0xC0000080, (0,)),
        (0xC0000081, MSR_LAST, (-1,)),
    ]
    for column in range(IN1, OUT1 + 3):
        assert table(policy, column) == [(0, 0x3F7, (-1,)), (0x3F8, 0x3FF, (1,)), (0x400, PORT_LAST, (-1,))]


def test_rules_at_both_ends_of_the_space() -> None:
    policy = make(rule("intercept", MSR, 0, "read"), rule("intercept", MSR, MSR_LAST, "read"))
    assert table(policy, MSR_READ) == [(0, 0, (0,)), (1, MSR_LAST - 1, (-1,)), (MSR_LAST, MSR_LAST, (1,))]
    assert table(make(rule("intercept", MSR, (0, MSR_LAST))), MSR_READ) == [(0, MSR_LAST, (0,))]


def test_layers_from_imports_to_overrides() -> None:
    policy = make(
        rule("intercept", IO, (0, 9), module=1),
        rule("allow", IO, (2, 9)),
        rule("intercept", IO, (4, 9), actions=KILL, profile="run"),
        rule("allow", IO, (6, 9), override=True),
        profiles=(profile("run"),),
    )
    assert table(policy, IN1)[:4] == [(0, 1, (0,)), (2, 5, (1,)), (6, 9, (3,)), (10, PORT_LAST, (-1,))]
    assert table(policy, IN1, Variant("run"))[:4] == [(0, 1, (0,)), (2, 3, (1,)), (4, 5, (2,)), (6, 9, (3,))]


def test_an_allow_is_an_exception_inside_its_layer_only() -> None:
    policy = make(rule("intercept", IO, (0, 3)), rule("allow", IO, 1), rule("intercept", IO, 1, override=True))
    assert table(policy, IN1)[:2] == [(0, 0, (0,)), (1, 1, (2,))]
    assert table(make(rule("intercept", IO, (0, 3)), rule("allow", IO, 1)), IN1)[1] == (1, 1, (1,))


def test_conditional_rules_are_asked_before_what_lies_below() -> None:
    when = (condition("value == 1"),)
    policy = make(
        rule("intercept", IO, (0, 9), "out", module=1),
        rule("intercept", IO, (0, 9), "out", when=when),
        rule("allow", IO, (0, 4), "out", when=when),
        rule("intercept", IO, (3, 4), "out"),
        rule("intercept", IO, 4, "out", KILL, when=when, override=True),
    )
    assert table(policy, OUT1)[:4] == [(0, 2, (2, 1, 0)), (3, 3, (2, 1, 3)), (4, 4, (4, 2, 1, 3)), (5, 9, (1, 0))]


def test_of_equal_rules_the_first_is_the_link_and_runs_stay_merged() -> None:
    policy = make(rule("intercept", IO, (0, 9)), rule("intercept", IO, (3, 4)), rule("intercept", IO, (8, 12)))
    assert table(policy, IN1) == [(0, 9, (0,)), (10, 12, (2,)), (13, PORT_LAST, (-1,))]


def test_child_beats_parent_and_a_foreign_profile_has_no_say() -> None:
    policy = make(
        rule("intercept", IO, 1, profile="parent"),
        rule("allow", IO, 1, profile="child"),
        rule("allow", IO, 1, profile="other", override=True),
        profiles=(profile("parent"), profile("child", ("parent",)), profile("other")),
    )
    assert table(policy, IN1) == [(0, PORT_LAST, (-1,))]
    assert table(policy, IN1, Variant("parent"))[1] == (1, 1, (0,))
    assert table(policy, IN1, Variant("child"))[1] == (1, 1, (1,))
    assert table(policy, IN1, Variant("other"))[1] == (1, 1, (2,))


def test_a_profile_brings_its_own_defaults() -> None:
    policy = make(profiles=(profile("run", own=defaults(io=KILL)),), own=defaults(msr=KILL))
    assert decide(policy, BASE).defaults == defaults(msr=KILL)
    assert decide(policy, Variant("run")).defaults == defaults(io=KILL)


def test_variants_are_profiles_times_vcpu_classes_base_first() -> None:
    policy = make(rule("intercept", IO, 1, vcpus=((0, 1),)), profiles=(profile("b"), profile("a")))
    assert [tuple(each) for each in variants(policy)] == [(None, 0), (None, 1), ("b", 0), ("b", 1), ("a", 0), ("a", 1)]


def test_a_vcpu_rule_holds_on_its_vcpus_only() -> None:
    policy = make(rule("intercept", IO, 1, vcpus=((0, 1),)), rule("intercept", IO, 1, KILL, vcpus=((1, 2),)) if 0 else
                  rule("intercept", IO, 2, vcpus=((1, 2),)))  # fmt: skip
    got = {each.vcpu_class: [run.chain for run in decide(policy, each).columns[IN1]] for each in variants(policy)}
    assert [one.vcpus for one in policy.vcpu_classes[1:]] == [((0, 0),), ((1, 1),), ((2, 2),)]
    assert got == {
        0: [(-1,)],
        1: [(-1,), (0,), (-1,)],
        2: [(-1,), (0,), (1,), (-1,)],
        3: [(-1,), (1,), (-1,)],
    }


def test_rules_on_every_vcpu_leave_an_empty_rest_class_without_them() -> None:
    policy = make(rule("intercept", IO, 1, vcpus=((0, 4095),)))
    assert policy.vcpu_classes[0].vcpus == ()
    assert table(policy, IN1) == [(0, PORT_LAST, (-1,))]


def test_an_unknown_profile_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        decide(make(), Variant("nope"))


@settings(deadline=None, max_examples=300)
@given(st.lists(drafts(), max_size=8))
def test_every_address_has_the_chain_of_the_law(some) -> None:
    policy = make(*some, profiles=(profile("base"), profile("child", ("base",)), profile("other")))
    together = decide_all(policy)
    assert tuple(together) == variants(policy)
    for variant, at_once in together.items():
        decisions = decide(policy, variant)
        assert at_once == decisions
        for column, runs in enumerate(decisions.columns):
            last = MSR_LAST if column <= MSR_WRITE else PORT_LAST
            assert runs[0].lo == 0
            assert runs[-1].hi == last
            for run, after in pairwise(runs):
                assert run.lo <= run.hi == after.lo - 1
                assert run.chain != after.chain
            for address in range(12):
                got = next(run.chain for run in runs if run.lo <= address <= run.hi)
                assert got == chain_of(policy, variant, column, address)


def test_a_hundred_thousand_rules_scale_like_ten_thousand() -> None:
    def scattered(count: int) -> Callable[[], object]:
        policy = make(*(rule("intercept", MSR, (index * 7919) % 0x100_0000) for index in range(count)))
        return partial(decide, policy, BASE)

    assert ratio(scattered(100_000), scattered(10_000), 40) < 40


def test_deeply_nested_ranges_scale_too() -> None:
    def nested(count: int) -> Callable[[], object]:
        policy = make(*(rule("intercept", MSR, (index, 1_000_000 - index)) for index in range(count, 0, -1)))
        assert len(decide(policy, BASE).columns[MSR_READ]) == 2 * count + 1
        return partial(decide, policy, BASE)

    assert ratio(nested(20_000), nested(2_000), 40) < 40


def test_what_all_profiles_share_is_not_decided_again_for_each() -> None:
    base = [rule("intercept", IO, (index * 16, index * 16 + 7)) for index in range(1000)]

    def profiles(count: int) -> Callable[[], object]:
        names = [f"p{index}" for index in range(count)]
        own = [rule("intercept", IO, index * 16 + 8, profile=name) for index, name in enumerate(names)]
        return partial(decide_all, make(*base, *own, profiles=tuple(profile(name) for name in names)))

    assert ratio(profiles(50), profiles(1), 12) < 12
