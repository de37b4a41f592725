"""S402: a guest reads what VMX can do though it has none."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import MSR, MSR_READ
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import subtract

RULE = Rule(
    "S402",
    "vmx-capability",
    "warning",
    why=(
        "The registers 0x480 and up say what VMX this processor offers. A guest that reads the host's values "
        "believes that it can nest, and learns the host's exact model; its VMXON then fails, or works where "
        "nobody expects it. Hypervisors that offer no nesting answer with a fault."
    ),
    source=(
        'Intel SDM vol. 3D, "VMX Capability Reporting Facility"; ACRN vmsr.c and NoirVisor vt_main.c trap 0x480..0x491'
    ),
    avoid="""\
language 1
target vmx
default passthrough
""",
    prefer="""\
language 1
target vmx
default msr exit
default io passthrough
# No nesting.
deny msr 0x480..0x493
""",
    threats=FROM_GUEST,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    ranges = subtract(subject.msrs("vmx", need="r"), subject.msrs("vmx", need="w"))
    notes = ("the guest sees the host's VMX and may try to nest",)
    yield from opened(RULE, subject, MSR, ranges, 1 << MSR_READ, what="read", notes=notes)
