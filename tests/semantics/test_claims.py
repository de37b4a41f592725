"""Assertions, `never allow` and tests hold or are refuted with a concrete access, once a statement."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from policyc.proof.evaluate import evaluate
from policyc.semantics import policy as law
from policyc.semantics.check import check
from policyc.semantics.conflicts import conflicts
from policyc.semantics.decide import decide, variants
from policyc.semantics.outcomes import failures, run_tests
from policyc.semantics.policy import Action, DecisionMap, Policy, Variant
from policyc.vocabulary.access import IN1, IN4, IO, MSR, OUT1, OUT2, OUT4, Access
from policyc.vocabulary.diagnostic import Diagnostic
from tests.semantics.naive_chain import drafts
from tests.semantics.policies import (
    ACCESS,
    COUNT,
    EXIT,
    GP,
    KILL,
    READ,
    WRITE,
    Draft,
    assertion,
    case,
    condition,
    const,
    defaults,
    make,
    never,
    profile,
    rule,
)

OUT = 1 << OUT1 | 1 << OUT2 | 1 << OUT4


def maps(policy: Policy) -> dict[Variant, DecisionMap]:
    return {each: decide(policy, each) for each in variants(policy)}


def told(policy: Policy) -> list[Diagnostic]:
    return check(policy, maps(policy))


def test_an_assertion_that_holds_is_silent() -> None:
    policy = make(
        rule("intercept", MSR, (0x10, 0x1F), "write"),
        asserts=(
            assertion("intercepted msr", ((0x10, 0x1F),), WRITE),
            assertion("not intercepted msr", ((0x10, 0x20),), READ),
            assertion("action msr", ((0x12, 0x12),), WRITE, EXIT),
        ),
        nevers=(never(MSR, ((0x1F, 0x1F),), WRITE),),
    )
    assert told(policy) == []


def test_a_counterexample_is_concrete_and_names_who_decides() -> None:
    policy = make(
        rule("intercept", MSR, (0x10, 0x1F), "write"),
        rule("allow", MSR, (0x14, 0x15)),
        asserts=(assertion("intercepted msr", ((0x10, 0x1F),), WRITE),),
    )
    (found,) = told(policy)
    assert found.code == "E211"
    assert found.message == "`wrmsr 0x14` is not intercepted, against what is asserted"
    assert [(each.span.line, each.span.text, each.text) for each in found.secondary] == [
        (2, "0x14..0x15", "this rule decides it")
    ]
    assert found.notes == ("it is decided by the rule shown", "it fails at MSRs 0x14..0x15")
    assert found.helps == ("`policyc explain vm.pol wrmsr 0x14` shows the whole decision",)


def test_wide_accesses_are_asked_at_their_start_port() -> None:
    policy = make(
        rule("intercept", IO, 0x103, actions=KILL),
        asserts=(
            assertion("intercepted io", ((0x100, 0x103),), 1 << IN4),
            assertion("not intercepted io", ((0x100, 0x102),), 1 << IN1),
            assertion("intercepted io", ((0xFF, 0xFF),), 1 << IN4),
            assertion("intercepted io", ((0xFFFD, 0xFFFF),), 1 << IN4),
            assertion("intercepted io", ((0xFFFD, 0xFFFF),), 1 << IN1),
        ),
    )
    assert [each.message for each in told(policy)] == [
        "`in 0xff width 4` is not intercepted, against what is asserted",
        "`in 0xfffd width 1` is not intercepted, against what is asserted",
    ]


def test_never_allow_asks_about_every_access_that_touches_the_port() -> None:
    policy = make(
        rule("intercept", IO, 0x100, 1 << OUT1),
        rule("intercept", IO, 0x200),
        rule("intercept", IO, 0x300, actions=COUNT),
        nevers=(
            never(IO, ((0x100, 0x100),), OUT),
            never(IO, ((0x200, 0x200),), OUT),
            never(IO, ((0x300, 0x300),), OUT),
        ),
    )
    found = told(policy)
    assert [(each.code, each.message) for each in found] == [
        ("E212", "`out 0xff width 2` passes through, and must never"),
        ("E212", "`out 0x300 width 1` passes through, and must never"),
    ]
    assert found[0].notes[0] == "it is decided by the default: no rule covers it"


def test_an_intercept_that_passes_on_is_intercepted_but_never_allowed_away() -> None:
    policy = make(
        rule("intercept", MSR, 0x10, actions=COUNT),
        asserts=(assertion("intercepted msr", ((0x10, 0x10),), READ),),
        nevers=(never(MSR, ((0x10, 0x10),), READ),),
    )
    assert [each.code for each in told(policy)] == ["E212"]


def test_a_condition_that_may_not_hold_leaves_a_hole_with_its_value() -> None:
    policy = make(
        rule("intercept", IO, 0x64, "out", KILL, when=(condition("value & 0xfe != 0x0"),)),
        asserts=(assertion("intercepted io", ((0x64, 0x64),), 1 << OUT1),),
    )
    (found,) = told(policy)
    assert found.notes[0] == "with value 0x0, it is decided by the default: no rule covers it"
    whole = make(
        rule("intercept", IO, 0x64, "out", KILL, when=(condition("value >= 0x80"),)),
        rule("intercept", IO, 0x64, "out", KILL, when=(condition("value & 0x80 == 0"),)),
        asserts=(assertion("intercepted io", ((0x64, 0x64),), 1 << OUT1),),
    )
    assert told(whole) == []


def test_a_claim_is_told_once_with_the_profiles_in_which_it_fails() -> None:
    policy = make(
        rule("intercept", MSR, 0x3A),
        rule("allow", MSR, 0x3A, profile="run"),
        profiles=(profile("boot"), profile("run"), profile("late", ("run",))),
        asserts=(assertion("intercepted msr", ((0x3A, 0x3A),), WRITE),),
        nevers=(never(MSR, ((0x3A, 0x3A),), WRITE), never(MSR, ((0x3A, 0x3A),), WRITE, "boot")),
    )
    found = told(policy)
    assert [each.code for each in found] == ["E211", "E212"]
    assert found[0].notes[1] == "in the profiles `run` and `late`"
    assert found[0].helps == ("`policyc explain vm.pol wrmsr 0x3a --profile run` shows the whole decision",)


def test_claims_of_a_profile_bind_those_that_extend_it() -> None:
    policy = make(
        rule("allow", MSR, 0x3A, profile="late"),
        rule("intercept", MSR, 0x3A, profile="run"),
        profiles=(profile("run"), profile("late", ("run",))),
        nevers=(never(MSR, ((0x3A, 0x3A),), WRITE, "run"),),
    )
    (found,) = told(policy)
    assert found.notes[1] == "in the profile `late`"


def test_a_claim_says_on_which_vcpus_it_fails() -> None:
    policy = make(
        rule("intercept", MSR, 0x3A, vcpus=((0, 3),)), nevers=(never(MSR, ((0x3A, 0x3A),), WRITE),)
    )  # fmt: skip
    (found,) = told(policy)
    assert found.notes[1] == "on vCPUs all others"


def test_a_never_of_an_imported_module_binds_the_importer() -> None:
    policy = make(rule("intercept", MSR, 1, module=1), modules=("baseline.pol",))
    span = policy.rules[0].span
    policy = policy._replace(nevers=(never(MSR, ((0x3A, 0x3A),), WRITE)._replace(module=1, span=span),))
    (found,) = told(policy)
    assert found.primary is not None
    assert (found.primary.span.source.name, found.primary.text) == ("baseline.pol", "never allowed by baseline.pol")


def test_what_breaks_at_a_clash_is_told_as_the_clash_alone() -> None:
    policy = make(
        rule("intercept", MSR, 0x10),
        rule("intercept", MSR, 0x10, actions=KILL),
        asserts=(
            assertion("action msr", ((0x10, 0x10),), READ, KILL),
            assertion("intercepted msr", ((0x11, 0x11),), READ),
        ),
    )
    assert sorted(each.code for each in told(policy)) == ["E201", "E211"]


def test_an_msr_without_a_bit_must_satisfy_a_claim_on_every_target() -> None:
    policy = make(
        asserts=(
            assertion("intercepted msr", ((0x40000000, 0x40000000),), READ),
            assertion("not intercepted msr", ((0x40000000, 0x40000000),), READ),
        )
    )
    found = told(policy)
    assert len(found) == 2, "vmx lets it exit, kvm does not"
    assert "on vmx the MSR has no bit" in found[1].notes[0]


def brute(policy: Policy, start: int, ranges: tuple[int, int], column: int) -> bool:
    """Whether some access of the column that touches the ranges passes; by the evaluator."""
    width = {OUT1: 1, OUT2: 2, OUT4: 4}[column]
    for address in range(max(0, ranges[0] - width + 1), ranges[1] + 1):
        for value in range(24):
            verdict = evaluate(policy, Variant(), Access("out", address, width, value, start), "vmx")
            if verdict.actions[-1].name == "passthrough":
                return True
    return False


@settings(deadline=None, max_examples=150)
@given(
    st.lists(drafts(layers=False), max_size=5),
    st.integers(0, 11),
    st.integers(0, 3),
    st.sampled_from([OUT1, OUT2, OUT4]),
)
def test_never_allow_agrees_with_every_access_tried(some: list[Draft], lo: int, more: int, column: int) -> None:
    some = [each._replace(vcpus=None) for each in some]
    ranges = (lo, min(11, lo + more))
    policy = make(*some, nevers=(never(IO, (ranges,), 1 << column),), own=defaults(io=KILL))
    if conflicts(policy):
        return
    expected = any(brute(policy, cpl, ranges, column) for cpl in (0, 3))
    assert bool(told(policy)) == expected


# tests in policies


def run(policy: Policy, *cases: law.TestCase) -> list[Diagnostic]:
    policy = policy._replace(tests=(law.Test("t", cases, 0, cases[0].span),))
    results = run_tests(policy, maps(policy))
    assert [each.case for each in results] == list(cases)
    return failures(results)


POLICY = make(
    rule("intercept", MSR, 0x3A, actions=GP),
    rule("intercept", MSR, 0x10, actions=COUNT),
    rule("intercept", IO, (0x3F8, 0x3FF), "out", (Action("log", (("rate", 0),)), Action("drop"))),
    rule("intercept", IO, 0x71, "in", const(7), vcpus=((1, 1),)),
    rule("allow", MSR, 0x3A, profile="debug"),
    profiles=(profile("debug"),),
)
LOG = Action("log", (("rate", 0),))
DROP = Action("drop")
PASS = (Action("passthrough"),)


def test_expectations_that_are_met() -> None:
    assert (
        run(
            POLICY,
            case("wrmsr", 0x3A, GP),
            case("wrmsr", 0x3A, EXIT),
            case("wrmsr", 0x3A, PASS, profile="debug"),
            case("rdmsr", 0x11, PASS),
            case("rdmsr", 0x10, EXIT),
            case("rdmsr", 0x10, PASS),
            case("rdmsr", 0x10, COUNT),
            case("out", 0x3F8, (DROP,), 1),
            case("out", 0x3F5, EXIT, 4),
            case("out", 0x3F8, (LOG, DROP), 1),
            case("in", 0x71, const(7), 1, vcpu=1),
            case("in", 0x71, PASS, 1),
        )
        == []
    )


def test_expectations_that_are_not_met() -> None:
    found = run(
        POLICY,
        case("rdmsr", 0x11, EXIT),
        case("wrmsr", 0x3A, KILL),
        case("out", 0x3F8, (Action("count"), DROP), 1),
        case("wrmsr", 0x3A, EXIT, profile="debug"),
        case("in", 0x71, const(7), 1, vcpu=2),
        case("in", 0xFFFE, PASS, 4),
    )
    assert {each.code for each in found} == {"E213"}
    assert [each.message for each in found] == [
        'the test "t" expects an exit for `rdmsr 0x11`, and it ends in passthrough',
        'the test "t" expects kill for `wrmsr 0x3a`, and it ends in inject(gp)',
        'the test "t" expects count, drop for `out 0x3f8 width 1`, and it ends in log, drop',
        'the test "t" expects an exit for `wrmsr 0x3a`, and it ends in passthrough',
        'the test "t" expects const(0x7) for `in 0x71 width 1`, and it ends in passthrough',
        'the test "t" expects passthrough for `in 0xfffe width 4`, and it ends in exit',
    ]
    assert [each.notes[0] for each in found[:2]] == [
        "it is decided by the default: no rule covers it",
        "it is decided by the rule shown",
    ]
    assert found[1].secondary[0].span.text == "0x3a"
    assert found[1].helps == ("mend the rule, or expect it: => inject(gp)",)
    assert found[5].notes == ("it runs past port 0xffff, so it always exits",)


def test_an_msr_without_a_bit_is_judged_for_the_first_target() -> None:
    policy = make(own=defaults(outside=GP))
    assert run(policy, case("rdmsr", 0x40000000, GP)) == []
    on_kvm = policy._replace(targets=(("kvm", case("in", 1, EXIT).span),))
    assert [each.code for each in run(on_kvm, case("rdmsr", 0x40000000, GP))] == ["E213"]


def test_access_words_of_these_tests_are_the_languages() -> None:
    assert ACCESS["out"] == OUT
