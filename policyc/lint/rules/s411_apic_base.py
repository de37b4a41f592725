"""S411: a guest moves or disables the host's local APIC."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import MSR, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "S411",
    "apic-base",
    "error",
    why=(
        "IA32_APIC_BASE says where the local APIC of this processor is mapped, in which mode it works and "
        "whether it is on at all. A guest that writes it takes the host's interrupts away."
    ),
    source=(
        'Intel SDM vol. 3A, "Local APIC Status and Location"; Xen, KVM, ACRN and Jailhouse trap the write; '
        "x86_vcpu d8b65a2a does not"
    ),
    avoid="""\
language 1
target vmx
default passthrough
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept msr IA32_APIC_BASE write -> forward(vlapic)
""",
    threats=FROM_GUEST,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    ranges = subject.msr("IA32_APIC_BASE")
    notes = ("the APIC of the processor moves, changes its mode or goes off, under the host",)
    yield from opened(RULE, subject, MSR, ranges, 1 << MSR_WRITE, what="write", notes=notes)
