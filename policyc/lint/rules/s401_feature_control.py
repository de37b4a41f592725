"""S401: a guest writes the register that locks VMX and SGX."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import MSR, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "S401",
    "feature-control",
    "error",
    why=(
        "IA32_FEATURE_CONTROL turns VMX, SGX launch control and local machine checks on, and one bit locks "
        "all of it until the machine is reset. Firmware usually has locked it, and a guest's write then "
        "faults; where it has not, a guest decides for the host."
    ),
    source=(
        'Intel SDM vol. 3C, "Enabling and Entering VMX Operation", and vol. 4 table 2-2 (3AH); OpenBSD vmm '
        "passes it, ACRN emulates it"
    ),
    avoid="""\
language 1
target vmx
default exit
allow msr IA32_FEATURE_CONTROL
""",
    prefer="""\
language 1
target vmx
default exit
# The guest sees a locked register.
allow msr IA32_FEATURE_CONTROL read
deny msr IA32_FEATURE_CONTROL write
""",
    threats=FROM_GUEST,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    ranges = subject.msr("IA32_FEATURE_CONTROL")
    notes = ("it enables VMX, SGX and LMCE, and its lock bit holds until the host is reset",)
    yield from opened(RULE, subject, MSR, ranges, 1 << MSR_WRITE, what="write", notes=notes)
