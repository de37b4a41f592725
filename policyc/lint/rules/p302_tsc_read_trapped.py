"""P302: reads of the time-stamp counter's MSR exit."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import costly
from policyc.vocabulary.access import MSR, MSR_READ
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "P302",
    "tsc-read-trapped",
    "warning",
    why=(
        "Guests read time with RDTSC and RDTSCP, which other controls govern: trapping RDMSR of IA32_TSC "
        "hides nothing and costs an exit where it is used. The TSC offset of VMCS and VMCB applies to RDMSR "
        "as well. Writes are a different matter."
    ),
    source=(
        'Intel SDM vol. 3C, "Changes to Instruction Behavior in VMX Non-Root Operation" (RDTSC exiting; TSC '
        "offsetting applies to RDMSR); KVM and bhyve pass the read"
    ),
    avoid="""\
language 1
target vmx
default passthrough
intercept msr IA32_TSC
""",
    prefer="""\
language 1
target vmx
default passthrough
# Reads are offset by the VMCS.
intercept msr IA32_TSC write
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    places = subject.trapped(MSR, subject.msr("IA32_TSC"), 1 << MSR_READ, explicit=True)
    notes = ("RDTSC and RDTSCP do not ask the bitmap: this hides no time",)
    yield from costly(RULE, subject, places, space=MSR, notes=notes, what="each RDMSR")
