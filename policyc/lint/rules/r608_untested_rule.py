"""R608: a rule that no test touches."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.semantics.policy import Run, TestCase
from policyc.vocabulary.access import Access
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "R608",
    "untested-rule",
    "info",
    why="A test that reaches the rule would notice when somebody changes it. Off by default.",
    source="policyc: docs/language.md, tests",
    avoid="""\
language 1
target vmx
default passthrough
intercept io 0x60
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept io 0x60
test "keyboard" {
    in 0x60 width 1 => exit
}
""",
    on=False,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    touched: set[int] = set()
    for test in subject.policy.tests:
        for case in test.cases:
            column = Access(case.kind, case.address, case.width).column
            for variant, decisions in subject.maps.items():
                if variant.profile == case.profile:
                    touched.update(
                        number for run in decisions.columns[column] if _reaches(case, run) for number in run.chain
                    )
    for rule in subject.policy.rules:
        if rule.number not in touched and subject.own(rule):
            yield found(RULE, rule.span, "no test touches this rule", helps=("add a case to a `test` block",))


def _reaches(case: TestCase, run: Run) -> bool:
    """Whether one of the bytes that the case accesses lies in the run."""
    last = case.address + (case.width if case.kind in ("in", "out") else 1) - 1
    return run.lo <= last and case.address <= run.hi
