"""A summary against one that looks at every port, and against the evaluator's own reasons."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings

from policyc.analyses.summary import Step, Stretch, summarise
from policyc.proof.evaluate import evaluate
from policyc.semantics.decide import decide
from policyc.semantics.policy import DEFAULT_RULE, EXIT, LAYER_OVERRIDE, PASSTHROUGH, Action, Defaults, Variant
from policyc.vocabulary.access import COLUMN_WIDTHS, IO_MASK, MSR_LAST, MSR_MASK, PORT_LAST, Access
from tests.growth import ratio
from tests.proof.build import PASS, TRAP, all_maps, decision_map, policy, rule, traps, value
from tests.targets.random_policies import policies

PASSED = (Step((), PASSTHROUGH),)
TRAPPED = (Step((), EXIT),)
DEFAULT = (DEFAULT_RULE,)


def summary(subject):
    (decisions,) = all_maps(subject).values()
    return summarise(subject, decisions)


def test_the_two_card_examples_at_a_glance() -> None:
    found = summary(policy(rule("msr", (0xC0000080, 0xC0000080), columns=2), rule("io", (0x3F8, 0x3FF))))
    assert found.msr == (
        Stretch(0, MSR_LAST, 1, False, PASSED, DEFAULT),
        Stretch(0, 0xC000007F, 2, False, PASSED, DEFAULT),
        Stretch(0xC0000080, 0xC0000080, 2, True, TRAPPED, (0,)),
        Stretch(0xC0000081, MSR_LAST, 2, False, PASSED, DEFAULT),
    )
    assert found.io == (
        Stretch(0, 0x3F7, IO_MASK, False, PASSED, DEFAULT),
        Stretch(0x3F8, 0x3FF, IO_MASK, True, TRAPPED, (1,)),
        Stretch(0x400, PORT_LAST, IO_MASK, False, PASSED, DEFAULT),
    )
    assert found.trapped == (0, 1, 8, 8, 8, 8, 8, 8)
    assert found.straddling == (0, 0, 0, 1, 3, 0, 1, 3)
    assert found.excess.total == found.excess.past_last_port == 8  # 2 bytes at 0xffff, 4 at 0xfffd..0xffff; two ways


def test_neighbours_of_one_outcome_are_one_stretch_with_the_lines_of_both() -> None:
    found = summary(policy(rule("msr", (1, 2)), rule("msr", (3, 4)), rule("msr", (5, 5), actions=(Action("kill"),))))
    assert [(each.lo, each.hi, each.columns, each.rules) for each in found.msr[1:3]] == [
        (1, 4, MSR_MASK, (0, 1)),
        (5, 5, MSR_MASK, (2,)),
    ]


def test_a_conditional_rule_shows_both_of_its_steps() -> None:
    found = summary(policy(rule("io", (0x64, 0x64), columns=32, when=[value("==", 0xFE)], actions=(Action("kill"),))))
    (one,) = [each for each in found.io if each.traps]
    assert (one.lo, one.columns, one.rules) == (0x64, 32, (DEFAULT_RULE, 0))
    assert [step.actions[-1].name for step in one.steps] == ["kill", "passthrough"]


def test_one_direction_of_one_port_costs_the_other_direction() -> None:
    excess = summary(policy(rule("io", (0x100, 0x100), columns=0b11100000))).excess
    assert (excess.direction, excess.width, excess.past_last_port) == (1 + 2 + 4, 0, 8)
    assert excess.by_column == (0, 0, 1, 2 + 1, 4 + 3, 0, 1, 3)
    assert excess.by_rule == ((0, 7),)


def test_one_width_costs_the_others_and_the_other_direction() -> None:
    excess = summary(policy(rule("io", (0x100, 0x100), columns=0b00100000))).excess  # out width 1
    assert (excess.width, excess.direction) == (2 + 4, 1 + 2 + 4)


def test_an_allow_of_one_direction_under_a_closed_default_is_charged_to_the_default() -> None:
    closed = Defaults(PASS, TRAP, EXIT, None)
    excess = summary(policy(rule("io", (0x60, 0x60), verb="allow", columns=0b11100), defaults=closed)).excess
    assert (excess.total, excess.direction) == (1, 1)
    assert excess.by_rule == ((DEFAULT_RULE, 1),)


@settings(deadline=None, max_examples=15)
@given(policies())
def test_counts_are_those_of_a_loop_over_every_port_and_column(subject) -> None:
    decisions = decision_map(subject, Variant())
    found = summarise(subject, decisions)
    trapped = {}
    for column in range(2, 8):
        trapped[column] = bytearray(PORT_LAST + 5)
        for lo, hi, chain in decisions.columns[column]:
            if any(decisions.defaults.io.traps if n < 0 else subject.rules[n].traps for n in chain):
                trapped[column][lo : hi + 1] = b"\1" * (hi + 1 - lo)
    bit = bytes(any(some) for some in zip(*trapped.values(), strict=True))
    width_, direction, past, by_column, straddling = 0, 0, 0, [0] * 8, [0] * 8
    for column in range(2, 8):
        width = COLUMN_WIDTHS[column]
        same = range(2, 5) if column < 5 else range(5, 8)
        way = bytes(any(some) for some in zip(*(trapped[each] for each in same), strict=True))
        for port in range(PORT_LAST + 1):
            end = port + width
            if 1 in trapped[column][port:end]:
                straddling[column] += not trapped[column][port]
            elif end > 0x10000:
                by_column[column] += 1
                past += 1
            elif 1 in bit[port:end]:
                by_column[column] += 1
                width_, direction = (width_ + 1, direction) if 1 in way[port:end] else (width_, direction + 1)
    assert found.excess.by_column == tuple(by_column)
    assert (found.excess.width, found.excess.direction, found.excess.past_last_port) == (width_, direction, past)
    assert found.excess.total == sum(by_column)
    assert found.straddling == tuple(straddling)


def test_excess_is_what_the_evaluator_calls_a_shared_bit_or_past_the_last_port() -> None:
    subject = policy(
        rule("io", (0x3F8, 0x3FB), columns=0b00011100),
        rule("io", (0x3FA, 0x3FA), verb="allow", columns=0b00000100, layer=LAYER_OVERRIDE),
        rule("io", (0xFFFE, 0xFFFE), columns=0b10000000),
    )
    count = {"shared-bit": 0, "past-last-port": 0}
    for kind in ("in", "out"):
        for width in (1, 2, 4):
            for port in (*range(0x3F0, 0x404), *range(0xFFF0, 0x10000)):
                verdict = evaluate(subject, Variant(), Access(kind, port, width), "vmx")
                if (verdict.exits and verdict.actions == PASSTHROUGH) or verdict.reason == "past-last-port":
                    count[verdict.reason] += 1
    excess = summary(subject).excess
    assert excess.past_last_port == count["past-last-port"]
    assert excess.width + excess.direction == count["shared-bit"]


@settings(deadline=None, max_examples=60)
@given(policies())
def test_stretches_cover_each_column_once_and_say_what_traps(subject) -> None:
    decisions = decision_map(subject, Variant())
    found = summarise(subject, decisions)
    for column in range(8):
        at = 0
        for each in found.msr if column < 2 else found.io:
            if each.columns >> column & 1:
                assert each.lo == at
                at = each.hi + 1
                assert each.traps is traps(subject, decisions, column, each.lo)
                assert each.traps is traps(subject, decisions, column, each.hi)
        assert at == (MSR_LAST if column < 2 else PORT_LAST) + 1


def test_ten_times_the_one_way_rules_take_about_ten_times_as_long() -> None:
    def summing(count: int) -> Callable[[], object]:
        subject = policy(*(rule("io", (port, port), columns=0b11100000) for port in range(0, 3 * count, 3)))
        decisions = decide(subject, Variant())
        assert len(summarise(subject, decisions).excess.by_rule) == count
        return lambda: summarise(subject, decisions)

    assert ratio(summing(20000), summing(2000), 30) < 30
