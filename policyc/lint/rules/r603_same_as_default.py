"""R603: a rule that says what the default says."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.vocabulary.access import MSR
from policyc.vocabulary.diagnostic import Diagnostic, Label
from policyc.vocabulary.intervals import subtract

RULE = Rule(
    "R603",
    "same-as-default",
    "info",
    why="Without it nothing would change. Where it documents an intent, a comment does that as well.",
    source="policyc: docs/precedence.md",
    avoid="""\
language 1
target vmx
default passthrough
allow io 0x60
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept io 0x60
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    overlapping = {each.number for pair in subject.overlapping(every=True) for each in pair}
    for rule in () if subject.crowded else subject.policy.rules:
        if rule.number in overlapping or rule.conditions or not rule.ranges or rule.module:
            continue
        if rule.profile is not None or rule.verb == "deny" or subject.policy.profiles:
            continue
        default = subject.policy.defaults.msr if rule.space == MSR else subject.policy.defaults.io
        outside = rule.space == MSR and subtract(rule.ranges, subject.windows)
        if outside or default.traps != rule.traps or (rule.traps and default.actions != rule.actions):
            continue
        secondary = () if default.span is None else (Label(default.span, "the default"),)
        yield found(
            RULE, rule.span, "without this rule nothing would change", secondary=secondary, helps=("delete it",)
        )
