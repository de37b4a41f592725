"""S425: a guest gives its user mode access to MSRs."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import MSR, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "S425",
    "user-msr",
    "warning",
    why=(
        "IA32_USER_MSR_CTL turns URDMSR and UWRMSR on for user mode. They obey the MSR bitmap like RDMSR and "
        "WRMSR, but a guest's kernel that does not know of them no longer stands between its processes and "
        "the registers that the policy passes."
    ),
    source="Intel Architecture Instruction Set Extensions, USER_MSR; Bochs cpu/msr.h",
    avoid="""\
language 1
target vmx
default passthrough
""",
    prefer="""\
language 1
target vmx
default passthrough
deny msr IA32_USER_MSR_CTL write
""",
    threats=FROM_GUEST,
    on=False,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    ranges = subject.msr("IA32_USER_MSR_CTL")
    notes = ("user mode can then read and write whatever MSR the policy passes",)
    yield from opened(RULE, subject, MSR, ranges, 1 << MSR_WRITE, what="write", notes=notes)
