"""Verdicts read off a decision map agree with the evaluator, and the witnesses of conditions are real and complete."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policyc.proof.evaluate import evaluate
from policyc.semantics.conditions import holds
from policyc.semantics.decide import decide, variants
from policyc.semantics.policy import PASSTHROUGH, Actions, Condition, Policy, Variant
from policyc.semantics.verdicts import Judge, View, views
from policyc.semantics.witness import cases
from policyc.vocabulary.access import COLUMN_NAMES, COLUMN_WIDTHS, IN1, IN4, IO, MSR, OUT1, OUT4, PORT_LAST, Access
from tests.semantics.naive_chain import drafts
from tests.semantics.policies import COUNT, DROP, EXIT, GP, KILL, Draft, condition, const, defaults, make, profile, rule

PLAIN = View("kvm", ())


def access(column: int, address: int, value: int = 0, cpl: int = 0) -> Access:
    return Access(COLUMN_NAMES[column].split()[0], address, COLUMN_WIDTHS[column], value, cpl)


def judge(policy: Policy, variant: Variant = Variant(), view: View = PLAIN) -> Judge:  # noqa: B008
    return Judge(policy, decide(policy, variant), view)


CLASHES = st.lists(drafts(), max_size=6)


@settings(deadline=None, max_examples=150)
@given(
    CLASHES,
    st.sampled_from([None, EXIT, KILL]),
    st.sampled_from([None, COUNT, DROP]),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 13), st.integers(0, 300), st.integers(0, 3)), max_size=30),
)
def test_verdicts_are_those_of_the_evaluator(
    some: list[Draft], msr: Actions | None, io: Actions | None, accesses: list[tuple[int, int, int, int]]
) -> None:
    from policyc.semantics.conflicts import conflicts

    names = profile("base"), profile("child", ("base",)), profile("other")
    policy = make(*some, profiles=names, own=defaults(msr, io))
    if conflicts(policy):
        return
    for variant in variants(policy):
        if not policy.vcpu_classes[variant.vcpu_class].vcpus:
            continue
        mine = judge(policy, variant)
        for column, address, value, cpl in accesses:
            value = 0 if column in (0, 2, 3, 4) else value & (1 << 8 * COLUMN_WIDTHS[column]) - 1
            theirs = evaluate(policy, variant, access(column, address, value, cpl), "svm")
            ours = mine.verdict(column, address, value, cpl)
            assert ours.actions == theirs.actions
            assert theirs.reason == "shared-bit" or ours.rule == theirs.rule
            if ours.intercepted:
                assert theirs.exits
            elif theirs.exits:
                assert theirs.reason == "shared-bit"


@pytest.mark.parametrize("target", ["vmx", "svm", "kvm"])
@pytest.mark.parametrize("address", [0x1FFF, 0x2000, 0xC0001FFF, 0xC0002000, 0xC0010000, 0x40000000])
def test_msrs_without_a_bit_go_where_the_outside_default_sends_them(target: str, address: int) -> None:
    policy = make(
        rule("intercept", MSR, (0x2000, 0x2001), "write", KILL), own=defaults(outside=GP)
    )._replace(targets=((target, make().modules[0].source and make(rule("allow", MSR, 1)).rules[0].span),))  # fmt: skip
    mine = judge(policy, view=views(policy)[0])
    for column in (0, 1):
        verdict = mine.verdict(column, address, 0, 0)
        theirs = evaluate(policy, Variant(), access(column, address), target)
        assert (verdict.intercepted, verdict.actions, verdict.rule) == (theirs.exits, theirs.actions, theirs.rule)


def test_an_access_past_the_last_port_always_exits() -> None:
    policy = make(rule("intercept", IO, PORT_LAST, "out", KILL))
    mine = judge(policy)
    for column, address in product(range(IN1, OUT4 + 1), range(PORT_LAST - 4, PORT_LAST + 1)):
        verdict = mine.verdict(column, address, 0, 0)
        theirs = evaluate(policy, Variant(), access(column, address), "vmx")
        assert verdict.actions == theirs.actions
        if address + COLUMN_WIDTHS[column] - 1 > PORT_LAST:
            assert verdict.intercepted
    assert mine.verdict(IN4, PORT_LAST - 2, 0, 0).reason == "past"


def test_a_wide_access_takes_the_strictest_byte_and_a_value_needs_every_byte() -> None:
    policy = make(
        rule("intercept", IO, 0x10, actions=COUNT), rule("intercept", IO, (0x11, 0x13), "in", const(1)),
        rule("intercept", IO, 0x14, actions=KILL),
    )  # fmt: skip
    mine = judge(policy)
    assert mine.verdict(IN4, 0x10, 0, 0).actions == DROP
    assert mine.verdict(IN1 + 1, 0x11, 0, 0).actions == const(1)
    assert mine.verdict(IN4, 0x11, 0, 0).actions == KILL
    beside = mine.verdict(IN1 + 1, 0x0F, 0, 0)
    assert (beside.intercepted, beside.actions) == (True, COUNT)


@settings(deadline=None, max_examples=200)
@given(st.lists(drafts(), max_size=5), st.integers(0, 7), st.integers(0, 8), st.integers(0, 12))
def test_stretches_are_accesses_decided_alike_without_gap(some: list[Draft], column: int, lo: int, length: int) -> None:
    policy = make(*some, profiles=(profile("base"), profile("child", ("base",)), profile("other")))
    mine = judge(policy)
    at = lo
    for stretch in mine.stretches(column, lo, lo + length):
        assert stretch.lo == at
        for address in range(stretch.lo, stretch.hi + 1):
            (one,) = mine.stretches(column, address, address)
            assert (one.chains, one.outside) == (stretch.chains, stretch.outside)
        at = stretch.hi + 1
    assert at == lo + length + 1


ATOMS = st.builds(
    Condition,
    st.sampled_from(["value", "value", "cpl"]),
    st.sampled_from([0xFF, 0x0F, 0xF0, 0x81, 0x3, (1 << 64) - 1]),
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    st.integers(0, 300),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(ATOMS, max_size=4))
def test_every_way_that_conditions_turn_out_is_found_with_a_witness(atoms: list[Condition]) -> None:
    found = cases(atoms, 8)
    assert found is not None
    for case in found:
        assert all(holds(each, case.value, case.cpl) == truth for each, truth in case.truth.items())
    ways = {tuple(holds(each, value, cpl) for each in atoms) for value in range(256) for cpl in range(4)}
    assert {tuple(case.truth[each] for each in atoms) for case in found} == ways


def test_conditions_on_a_value_never_hold_for_reads() -> None:
    one = condition("value == 0")
    found = cases([one], 0)
    assert found is not None
    assert [each.truth for each in found] == [{one: False}]


def test_more_conditions_than_can_be_followed_are_admitted() -> None:
    atoms = [Condition("value", 1 << n, "==", 1 << n) for n in range(40)]
    assert cases(atoms[:3], 64) is not None
    assert cases(atoms, 64) is None


def test_unknown_ways_are_told_as_such_and_none_is_missed() -> None:
    bits = [Condition("value", 1 << n, "==", 1 << n) for n in range(20)]
    some = [rule("intercept", IO, 0x10, "out", KILL, when=(each,)) for each in bits]
    mine = judge(make(*some))
    stretch = next(mine.stretches(OUT1 + 2, 0x10, 0x10))
    found = mine.verdicts(stretch, OUT1 + 2)
    assert not any(each.known for each in found)
    assert {each.actions for each in found} == {KILL, PASSTHROUGH}
