"""R609: an assertion that hardware makes true."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.targets.windows import listed
from policyc.vocabulary.access import MSR
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import intersect

RULE = Rule(
    "R609",
    "vacuous-assert",
    "warning",
    why="An MSR outside the windows exits whatever the policy says, so that asserting it tests nothing.",
    source='Intel SDM vol. 3C, "MSR-Bitmap Address"',
    avoid="""\
language 1
target vmx
default passthrough
assert intercepted msr 0x40000000
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept msr IA32_APIC_BASE
assert intercepted msr IA32_APIC_BASE
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    for each in subject.policy.asserts:
        if not subject.hardware or each.negated or each.kind != "intercepted" or each.space != MSR or not each.ranges:
            continue
        if not intersect(each.ranges, subject.windows) and set(subject.hardware) == set(subject.targets):
            yield found(
                RULE,
                each.span,
                f"{listed(each.ranges)} exits whatever the policy says: this holds always",
                notes=("no bitmap has a bit for it",),
                helps=("assert the action instead, if the handler's answer matters",),
            )
