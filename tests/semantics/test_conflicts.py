"""Rules that disagree are found wherever they do, told once, in the words of the reference samples."""

from __future__ import annotations

from functools import partial
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policyc.semantics.conflicts import MOST, conflicts
from policyc.semantics.policy import LAYER_IMPORT, LAYER_MAIN, Action, Actions, Policy, Rule
from policyc.vocabulary.access import COLUMN_WIDTHS, IO, MSR
from policyc.vocabulary.diagnostic import Diagnostic
from tests.growth import ratio, seconds
from tests.semantics.frontend import front
from tests.semantics.naive_chain import drafts
from tests.semantics.policies import COUNT, KILL, Draft, condition, const, make, profile, rule

UART: Actions = (Action("forward", (("handler", "uart"),)),)


def told(*some: Draft, **more: object) -> list[tuple[str, str, int, int, str]]:
    """Code, file, line, column and message of every report."""
    return [place(each) for each in conflicts(make(*some, **more))]  # type: ignore[arg-type]


def place(each: Diagnostic) -> tuple[str, str, int, int, str]:
    assert each.primary is not None
    span = each.primary.span
    return each.code, span.source.name, span.line, span.column, each.message


def test_the_sample_of_the_reference() -> None:
    (found,) = conflicts(
        make(
            rule("intercept", IO, (0x3F8, 0x3FF), actions=UART, label="com1"),
            rule("intercept", IO, (0x3F0, 0x3F8), "out", KILL),
        )
    )
    assert place(found) == ("E201", "vm.pol", 2, 14, "two rules decide `out 0x3f8` differently")
    assert found.primary is not None
    assert found.primary.text == "this rule says kill"
    assert [(each.span.line, each.span.text, each.text) for each in found.secondary] == [
        (1, "0x3f8..0x3ff", "rule `com1` says forward(uart)")
    ]
    assert found.notes == (
        "overlap: port 0x3f8, out, width 1/2/4 - 1 port of 9",
        "rules of one file have no order, so neither wins",
    )
    assert found.helps == (
        "cut the overlap:          intercept io 0x3f0..0x3f7 out -> kill",
        "or state who wins:        override intercept io 0x3f0..0x3f8 out -> kill",
    )


def test_two_modules_clash_unless_the_main_file_decides() -> None:
    one = rule("intercept", IO, (0x3F8, 0x3FF), actions=UART, module=1)
    two = rule("intercept", IO, (0x3F0, 0x3F8), "out", KILL, module=2)
    (found,) = conflicts(make(one, two))
    assert place(found) == ("E201", "module2.pol", 1, 14, "two rules decide `out 0x3f8` differently")
    assert found.secondary[0].span.source.name == "module1.pol"
    assert found.helps[0] == "decide it in vm.pol:      intercept io 0x3f8 out -> kill"
    assert told(one, two, rule("intercept", IO, 0x3F8, "out", COUNT)) == []
    assert told(one, two, rule("allow", IO, 0x3F8, "out")) == []
    assert len(told(one, two, rule("intercept", IO, 0x3F8, "in", COUNT))) == 1
    assert len(told(one, two, rule("intercept", IO, 0x3F8, "out", COUNT, when=(condition("cpl == 3"),)))) == 1
    assert len(told(one, two, rule("intercept", IO, 0x3F8, "out", COUNT, vcpus=((0, 1),)))) == 1


def test_an_allow_of_the_same_layer_or_an_override_settles_it() -> None:
    clash = rule("intercept", MSR, 0x10), rule("intercept", MSR, (0x10, 0x11), actions=KILL)
    assert len(told(*clash)) == 1
    assert told(*clash, rule("allow", MSR, 0x10)) == []
    assert told(*clash, rule("intercept", MSR, 0x10, actions=COUNT, override=True)) == []


def test_an_overlap_is_only_where_nothing_else_decides() -> None:
    (found,) = conflicts(
        make(
            rule("intercept", MSR, (0x10, 0x1F), "read"),
            rule("intercept", MSR, (0x18, 0x2F), "read", KILL),
            rule("allow", MSR, (0x1A, 0x1E), "read"),
        )
    )
    assert found.notes[0] == "overlap: MSRs 0x18..0x19, 0x1f, read - 3 MSRs of 24"
    assert found.helps[0] == "cut the overlap:          intercept msr { 0x1a..0x1e, 0x20..0x2f } read -> kill"


@pytest.mark.parametrize(
    ("left", "right", "count"),
    [
        ("value == 1", "value == 2", 0),
        ("value == 1", "value == 1", 1),
        ("value & 0x3 == 1", "value & 0xc == 4", 1),
        ("value < 5", "value >= 5", 0),
        ("value < 5", "value > 3", 1),
        ("cpl == 0", "cpl != 0", 0),
        ("cpl == 0", "value == 1", 1),
        ("value & 0x1 == 1", "value == 2", 0),
        ("value & 0x1 == 0", "value == 2", 1),
    ],
)
def test_conditions_that_never_hold_together_do_not_clash(left: str, right: str, count: int) -> None:
    found = told(
        rule("intercept", IO, 0x64, "out", when=(condition(left),)),
        rule("intercept", IO, 0x64, "out", KILL, when=(condition(right),)),
    )
    assert len(found) == count


def test_the_remedy_of_a_clash_never_silences_the_special_case() -> None:
    general = rule("intercept", IO, (0x60, 0x67), "out")
    special = rule("intercept", IO, 0x64, "out", KILL, when=(condition("value & 0xff == 0xfe"),))
    for pair in ((general, special), (special, general)):
        (found,) = conflicts(make(*pair))
        (help_,) = found.helps
        assert help_ == "state who wins:           override intercept io 0x64 out when value & 0xff == 0xfe -> kill"
    for pair in (
        (general, rule("intercept", IO, 0x64, "out", KILL)),
        (rule("intercept", IO, 0x64, "out", KILL), general),
    ):
        (found,) = conflicts(make(*pair))
        assert found.helps == (
            "cut the overlap:          intercept io { 0x60..0x63, 0x65..0x67 } out",
            "or state who wins:        override intercept io 0x64 out -> kill",
        )


def test_the_remedy_mends_the_clash() -> None:
    """Each remedy that is a whole statement, put in the place of the one it rewrites."""
    general, special = "intercept io 0x60..0x67 out", "intercept io 0x64 out when value == 0xfe -> kill"
    cases = [
        ([general, special], special),
        ([special, general], special),
        (["override " + general, "override " + special], "override " + general),
        (["override " + special, "a: override " + general], "a: override " + general),
        ([general, "intercept io 0x64 out on vcpu 1 -> drop"], "intercept io 0x64 out on vcpu 1 -> drop"),
    ]
    for statements, rewritten in cases:
        (found,) = clashes_of(statements)
        mended = found.helps[-1].split(":", 1)[1].strip()
        assert clashes_of([mended if each == rewritten else each for each in statements]) == [], mended


def clashes_of(statements: list[str]) -> list[Diagnostic]:
    _, found = front("language 1\ndefault passthrough\n" + "\n".join(statements) + "\n")
    assert {each.code for each in found} <= {"E201", "E202"}
    return found


def test_a_cut_never_opens_the_other_direction() -> None:
    (found,) = conflicts(
        make(rule("intercept", IO, (0x60, 0x67), "out"), rule("intercept", IO, (0x64, 0x6F), actions=KILL))
    )
    assert found.helps[0] == "cut the overlap:          intercept io 0x60..0x63 out", (
        "the earlier one, not `in` of the later"
    )
    (found,) = conflicts(
        make(rule("intercept", IO, (0x60, 0x67), "out"), rule("intercept", IO, (0x64, 0x66), actions=KILL))
    )
    assert found.helps[0] == "cut the overlap:          intercept io 0x64..0x66 in -> kill"


def test_rules_on_different_vcpus_do_not_clash() -> None:
    one = rule("intercept", MSR, 0x10, vcpus=((0, 1),))
    assert told(one, rule("intercept", MSR, 0x10, actions=KILL, vcpus=((2, 3),))) == []
    assert len(told(one, rule("intercept", MSR, 0x10, actions=KILL, vcpus=((1, 2),)))) == 1
    assert len(told(one, rule("intercept", MSR, 0x10, actions=KILL))) == 1


def test_layers_do_not_clash_with_one_another() -> None:
    assert (
        told(
            rule("intercept", MSR, 0x10, module=1),
            rule("intercept", MSR, 0x10, actions=KILL),
            rule("intercept", MSR, 0x10, actions=COUNT, profile="run"),
            rule("intercept", MSR, 0x10, actions=const(1), override=True),
            profiles=(profile("run"),),
        )
        == []
    )


def test_a_child_may_change_its_parent_but_two_parents_may_not_disagree() -> None:
    a = rule("intercept", MSR, 0x10, profile="a")
    b = rule("allow", MSR, (0x10, 0x11), profile="b")
    names = profile("a"), profile("b"), profile("c", ("a", "b"))
    assert told(a, b, profiles=names[:2]) == []
    (found,) = conflicts(make(a, b, profiles=names))
    assert place(found)[:2] == ("E201", "vm.pol")
    assert found.notes[1] == "the profile `c` extends both `a` and `b`, neither of which extends the other"
    assert found.helps[0].startswith("decide it in `c`:")
    assert told(a, b, rule("intercept", MSR, 0x10, profile="c"), profiles=names) == []
    child = profile("b", ("a",))
    assert told(a, b, profiles=(profile("a"), child, profile("c", ("a", "b"), ("a", "b", "c")))) == []


def test_overrides_clash_as_e202() -> None:
    one = rule("intercept", MSR, 0x10, override=True, module=1)
    (found,) = conflicts(make(one, rule("intercept", MSR, (0x10, 0x12), actions=KILL, override=True)))
    assert found.code == "E202"
    assert found.notes[1] == "nothing outranks an override, so neither wins"
    assert found.helps == (
        "cut the overlap:          override intercept msr 0x11..0x12 rw -> kill",
        "or let the other win:     intercept msr 0x10..0x12 rw -> kill",
    )
    assert [each[0] for each in told(one, rule("allow", MSR, 0x10, override=True))] == ["E202"]
    assert told(rule("intercept", MSR, 0x10, override=True), rule("allow", MSR, 0x10, override=True)) == []


def test_an_override_of_a_profile_meets_the_others_there() -> None:
    some = (
        rule("intercept", MSR, 0x10, override=True),
        rule("intercept", MSR, 0x10, actions=KILL, override=True, profile="run"),
    )
    assert [each[0] for each in told(*some, profiles=(profile("run"), profile("late", ("run",))))] == ["E202"]


def test_an_allow_of_one_module_may_not_open_another_silently() -> None:
    trap = rule("intercept", IO, (0x3F8, 0x3FF), actions=UART, module=1)
    (found,) = conflicts(make(trap, rule("allow", IO, (0x3F0, 0x3F8), "in", module=2)))
    assert place(found) == (
        "E203", "module2.pol", 1, 10, "an `allow` of module2.pol opens `in 0x3f8`, which module1.pol intercepts",
    )  # fmt: skip
    assert found.notes[0] == "overlap: port 0x3f8, in, width 1/2/4 - 1 port of 9"
    assert found.helps[0] == "say so:                   override allow io 0x3f0..0x3f8 in"
    assert told(trap, rule("allow", IO, 0x3F8, module=1)) == []
    assert told(trap, rule("allow", IO, 0x3F8, module=2, override=True)) == []
    assert told(trap, rule("allow", IO, 0x3F8, module=2), rule("allow", IO, 0x3F8)) == []


def test_each_rule_is_told_once_in_however_many_columns_it_clashes() -> None:
    found = told(*(rule("intercept", IO, (0, 9), actions=const(index)) for index in range(5)))
    assert [(each[2], each[0]) for each in found] == [(2, "E201"), (3, "E201"), (4, "E201"), (5, "E201")]


def test_many_clashes_are_cut_off_and_say_so() -> None:
    found = conflicts(make(*(rule("intercept", MSR, (0, 9), actions=const(index)) for index in range(500))))
    assert len(found) == MOST + 1
    assert found[-1].message == "100 clashes are told; there may be more"


def disagree(policy: Policy, a: Rule, b: Rule) -> bool:
    """By the law, for two rules of one layer of a policy without profiles and overrides: address by address."""
    if a.layer != b.layer or a.space != b.space:
        return False
    wrong = a.traps and b.traps and a.actions != b.actions
    wrong = wrong or (a.traps != b.traps and a.module != b.module)
    if not wrong:
        return False
    for column in range(8):
        for address in range(12):
            for vcpu in range(4):
                if all(covers(each, column, address, vcpu) for each in (a, b)) and meet(a, b, column):
                    above = [
                        each
                        for each in policy.rules
                        if not each.conditions
                        and covers(each, column, address, vcpu)
                        and (each.layer > a.layer or (each.layer == a.layer and not each.traps and a.traps and b.traps))
                    ]
                    if not above:
                        return True
    return False


def covers(one: Rule, column: int, address: int, vcpu: int) -> bool:
    return bool(
        one.columns >> column & 1
        and any(lo <= address <= hi for lo, hi in one.ranges)
        and (one.vcpus is None or any(lo <= vcpu <= hi for lo, hi in one.vcpus))
    )


def meet(a: Rule, b: Rule, column: int) -> bool:
    """The conditions of these tests look at the two lowest bits, or compare with numbers below 16."""
    tests = {"==": int.__eq__, "!=": int.__ne__, ">": int.__gt__}
    values = range(min(32, 1 << 8 * COLUMN_WIDTHS[column]))
    return any(
        all(
            tests[each.op]((value if each.subject == "value" else cpl) & each.mask, each.operand)
            for each in (*a.conditions, *b.conditions)
        )
        for value in values
        for cpl in range(4)
    )


@settings(deadline=None, max_examples=300)
@given(st.lists(drafts(layers=False), max_size=7))
def test_clashes_are_found_exactly_where_the_law_leaves_two_answers(some: list[Draft]) -> None:
    policy = make(*some)
    pairs = [pair for pair in combinations(policy.rules, 2) if disagree(policy, *pair)]
    found = conflicts(policy)
    spans = {each.primary.span: each for each in found if each.primary}
    assert bool(pairs) == bool(found)
    for one in policy.rules:
        expected = any(one in pair for pair in pairs)
        if one.span in spans:
            assert expected
            assert one.layer in (LAYER_IMPORT, LAYER_MAIN)
    assert {code for code in ("E201", "E203") if any(each.code == code for each in found)} == {
        "E201" if a.traps == b.traps else "E203" for a, b in pairs
    }


def test_twenty_thousand_overlapping_rules_cost_little_more_than_disjoint_ones() -> None:
    count, inside = 20_000, [(n, 200_000 - n) for n in range(20_000)]
    alike = make(*(rule("intercept", MSR, (4 * n, 4 * n + 1), actions=KILL) for n in range(count)))
    nested = make(*(rule("intercept", MSR, each, actions=KILL) for each in inside))
    assert ratio(partial(conflicts, nested), partial(conflicts, alike), 3) < 3
    apart = make(*(rule("intercept", MSR, (4 * n, 4 * n + 1), actions=const(n)) for n in range(count)))
    clashing = [rule("intercept", MSR, each, actions=const(n)) for n, each in enumerate(inside)]
    opened = make(rule("allow", MSR, (0, 200_000)), *clashing)
    for each in (make(*clashing), opened):
        assert ratio(partial(conflicts, each), partial(conflicts, apart), 3) < 3


def test_twenty_thousand_values_of_one_port_are_told_apart() -> None:
    some = [rule("intercept", IO, 0xCF8, "out", const(n), when=(condition(f"value == {n}"),)) for n in range(20_000)]
    policy = make(*some)
    assert conflicts(policy) == []
    assert seconds(partial(conflicts, policy), 10) < 10


def test_conditions_without_end_are_given_up_with_a_report() -> None:
    some = [
        rule("intercept", IO, 0xCF8, "out", const(n), when=(condition(f"value >= {2 * n}"), condition(f"value <= {2 * n + 1}")))
        for n in range(3000)
    ]  # fmt: skip
    assert [each.code for each in conflicts(make(*some))] == ["E004"]
    assert conflicts(make(*some[:400])) == []
