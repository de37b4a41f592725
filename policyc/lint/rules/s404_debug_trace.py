"""S404: a guest turns tracing on where the host can be traced."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import MSR, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import intersect

RULE = Rule(
    "S404",
    "debug-trace",
    "error",
    why=(
        "Branch records, Processor Trace, the debug store area and the debug interface keep what the "
        "processor did, some of it into memory at an address that the guest chooses. What is not switched at "
        "VM entry and exit goes on in the host: it is traced, or written over."
    ),
    source=(
        'Intel SDM vol. 3B, "Last Branch Records" and "Performance Monitoring", vol. 3C, "Intel Processor '
        'Trace"; ACRN vmsr.c faults them'
    ),
    avoid="""\
language 1
target vmx
default exit
# Wants a fast profiler.
allow msr { IA32_DS_AREA, IA32_RTIT_CTL }
""",
    prefer="""\
language 1
target vmx
default exit
# No tracing in guests.
deny msr { IA32_DS_AREA, IA32_RTIT_CTL }
""",
    threats=FROM_GUEST,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    ranges = intersect(subject.msrs("trace", "debug", need="w"), subject.msrs("host-critical"))
    notes = ("what the processor records goes on into the host, or to an address that the guest chose",)
    yield from opened(RULE, subject, MSR, ranges, 1 << MSR_WRITE, what="write", notes=notes)
