"""P310: the timer's deadline exits."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import costly
from policyc.vocabulary.access import MSR, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "P310",
    "tsc-deadline",
    "info",
    why=(
        "A write of IA32_TSC_DEADLINE arms the guest's next timer tick. It must exit where the hypervisor "
        "emulates the timer, and costs one exit a tick there. Off by default."
    ),
    source='Intel SDM vol. 3A, "TSC-Deadline Mode"; KVM\'s exit fast path',
    avoid="""\
language 1
target vmx
default passthrough
intercept msr IA32_TSC_DEADLINE -> forward(vtimer)
""",
    prefer="""\
language 1
target vmx
default passthrough
# Not offered in CPUID.
deny msr IA32_TSC_DEADLINE
""",
    on=False,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    places = subject.trapped(MSR, subject.msr("IA32_TSC_DEADLINE"), 1 << MSR_WRITE, explicit=True)
    notes = ("one exit for each tick of the guest's timer",)
    yield from costly(RULE, subject, places, space=MSR, notes=notes, what="each write")
