"""S413: a guest controls machine checks."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import MSR, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "S413",
    "mce",
    "warning",
    why=(
        "The machine-check banks and their controls decide which hardware errors stop the machine and which "
        "are recorded. A guest that clears or masks them hides the host's failing memory; one that sets "
        "MCG_STATUS can make the next error a shutdown."
    ),
    source=(
        'Intel SDM vol. 3B, "Machine-Check Architecture"; ACRN vmsr.c says of 0x280..0x29f and 0x400..0x473 '
        "that they are covered elsewhere"
    ),
    avoid="""\
language 1
target vmx
default msr passthrough
default io exit
""",
    prefer="""\
language 1
target vmx
default msr exit
default io exit
intercept msr { IA32_MCG_STATUS, IA32_MCG_CTL } -> forward(vmce)
""",
    threats=FROM_GUEST,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    ranges = subject.msrs("mce", "host-critical", need="w", every=True)
    notes = ("errors of the host's hardware are masked, cleared or made fatal by a guest",)
    yield from opened(RULE, subject, MSR, ranges, 1 << MSR_WRITE, what="write", notes=notes)
