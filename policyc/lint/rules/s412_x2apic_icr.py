"""S412: a guest sends interrupts and INIT to any processor."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import MSR, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "S412",
    "x2apic-icr",
    "error",
    why=(
        "A write to the interrupt command register sends an IPI, INIT or start-up IPI to any processor of the "
        "machine, the host's among them. It is the one x2APIC register that must stay trapped where a guest "
        "owns its APIC, unless hardware virtualises IPIs."
    ),
    source=(
        'Intel SDM vol. 3A, "ICR Operation in x2APIC Mode"; Jailhouse vmx.c lets cells have every x2APIC '
        "register but this one; ACRN lapic passthrough"
    ),
    avoid="""\
language 1
target vmx
import "std/x2apic.pol"
default exit
# The guest owns its APIC.
allow msr x2apic.REGISTERS
""",
    prefer="""\
language 1
target vmx
import "std/x2apic.pol"
default exit
# The guest owns its APIC; where its IPIs go is checked.
allow msr x2apic.REGISTERS except x2apic.ICR
allow msr x2apic.ICR read
intercept msr x2apic.ICR write -> forward(check_ipi)
""",
    threats=FROM_GUEST,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    ranges = subject.msr("IA32_X2APIC_ICR")
    notes = ("an INIT to the host's processor stops it",)
    yield from opened(RULE, subject, MSR, ranges, 1 << MSR_WRITE, what="write", notes=notes)
