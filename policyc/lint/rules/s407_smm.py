"""S407: a guest reaches system management mode."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import IO, MSR, MSR_WRITE, OUT_MASK
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import intersect, subtract

RULE = Rule(
    "S407",
    "smm",
    "error",
    why=(
        "SMM runs firmware above every hypervisor. A write to the APM command port raises an SMI with the "
        "guest's registers as its arguments, on the host; the SMM registers move or open the memory that SMM "
        "hides in."
    ),
    source=(
        'Intel SDM vol. 3C, "System Management Mode"; AMD64 APM vol. 2, "System-Management Mode"; Intel ICH9 '
        "data sheet, APM_CNT"
    ),
    avoid="""\
language 1
target vmx
default io exit
default msr exit
# ACPI enable writes here.
allow io APM_CNT
""",
    prefer="""\
language 1
target vmx
default io exit
default msr exit
# ACPI enable is answered without firmware.
intercept io APM -> forward(virtual_apm)
""",
    threats=FROM_GUEST,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    msrs = subtract(
        intersect(subject.msrs("smm", need="w"), subject.msrs("host-critical")), subject.msrs("memory-type", "power")
    )
    notes = ("system management mode runs firmware above the hypervisor",)
    yield from opened(RULE, subject, MSR, msrs, 1 << MSR_WRITE, what="write", notes=notes)
    chipset = subject.ports("platform:piix4", "platform:q35")
    ports = subtract(intersect(subject.ports("smm"), subject.ports("host-critical")), chipset)
    notes = ("a write raises an SMI: firmware runs with the guest's registers as its arguments",)
    yield from opened(RULE, subject, IO, ports, OUT_MASK, what="write", notes=notes)
