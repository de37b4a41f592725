"""Runs the ``test`` blocks of a policy: E213 where a case does not come out as its author expects.

``=> exit`` is met by every access that is intercepted, whatever is then done with it. Any other outcome must be the
last action; one that names log, count or trace must be the whole chain. A case is judged for the first target that the
policy names (vmx if none): where an MSR has no bit there, ``default msr outside`` decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from policyc.semantics.addresses import Names
from policyc.semantics.claims import decided_by, decider, matches
from policyc.semantics.limits import few
from policyc.semantics.policy import EXIT, DecisionMap, Policy, Test, TestCase, Variant
from policyc.semantics.verdicts import Judge, Verdict, views
from policyc.semantics.wording import access_text, actions_text
from policyc.vocabulary.access import MSR_WRITE, Access
from policyc.vocabulary.diagnostic import Diagnostic, error
from policyc.vocabulary.intervals import contains
from policyc.vocabulary.typed import NamedTuple


class CaseResult(NamedTuple):
    """test: its name. verdict: what happened. diagnostic: E213, None where the case holds."""

    test: str
    case: TestCase
    variant: Variant
    verdict: Verdict
    diagnostic: Diagnostic | None

    @property
    def passed(self) -> bool:
        return self.diagnostic is None


def run_tests(
    policy: Policy, maps: Mapping[Variant, DecisionMap], names: Names | None = None
) -> tuple[CaseResult, ...]:
    """Every case of every test, in source order."""
    judges: dict[Variant, Judge] = {}
    return tuple(_run(policy, maps, judges, test, case, names) for test in policy.tests for case in test.cases)


def failures(results: Iterable[CaseResult]) -> list[Diagnostic]:
    """The diagnostics of the cases that failed; of very many the first, and how many more there are."""
    return list(few(each.diagnostic for each in results if each.diagnostic is not None))


def _run(
    policy: Policy,
    maps: Mapping[Variant, DecisionMap],
    judges: dict[Variant, Judge],
    test: Test,
    case: TestCase,
    names: Names | None,
) -> CaseResult:
    variant = Variant(case.profile, _class_of(policy, case.vcpu))
    judge = judges.get(variant)
    if judge is None:
        judge = judges[variant] = Judge(policy, maps[variant], views(policy)[0])
    access = Access(case.kind, case.address, case.width, case.value, case.cpl)
    verdict = judge.verdict(access.column, access.address, access.value, access.cpl)
    met = verdict.intercepted if case.outcome == EXIT else matches(case.outcome, verdict.actions)
    diagnostic = None if met else _failed(policy, judge, test, case, access.column, verdict, names)
    return CaseResult(test.name, case, variant, verdict, diagnostic)


def _class_of(policy: Policy, vcpu: int | None) -> int:
    """Index of the class that holds a vCPU; that of ``rest`` where the case names none."""
    if vcpu is None:
        return 0
    return next(index for index, each in enumerate(policy.vcpu_classes) if contains(each.vcpus, vcpu))


def _failed(
    policy: Policy, judge: Judge, test: Test, case: TestCase, column: int, verdict: Verdict, names: Names | None
) -> Diagnostic:
    access = access_text(column, case.address, names)
    did = actions_text(verdict.actions) if verdict.intercepted else "passthrough"
    expected = "an exit" if case.outcome == EXIT else actions_text(case.outcome)
    note = decided_by(verdict, judge.view.target)
    outside = any(lo <= case.address <= hi for lo, hi in judge.view.without_bit) and column <= MSR_WRITE
    if outside and verdict.reason != "outside":
        note += f"; on {judge.view.target} the MSR has no bit, so it always exits"
    return error(
        "E213",
        f'the test "{test.name}" expects {expected} for `{access}`, and it ends in {did}',
        case.span,
        f"this ends in {did}",
        secondary=decider(policy, judge.decisions, column, verdict),
        notes=(note,),
        helps=(f"mend the rule, or expect it: => {did}",),
    )
