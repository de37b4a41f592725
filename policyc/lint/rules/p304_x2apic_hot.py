"""P304: end of interrupt and task priority exit."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import costly
from policyc.vocabulary.access import MSR, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import subtract

RULE = Rule(
    "P304",
    "x2apic-hot",
    "warning",
    why=(
        "EOI, TPR and SELF_IPI are written once or more for every interrupt. With APIC-register "
        "virtualisation and virtual-interrupt delivery the processor takes these writes itself, provided that "
        "their bits are clear: Xen and KVM clear exactly these. Without APICv, or where the hypervisor "
        "emulates the APIC, the exits are the price, and a waiver says so. The interrupt command register "
        "must stay trapped."
    ),
    source=(
        'Intel SDM vol. 3C, "Virtualizing MSR-Based APIC Accesses"; Xen vmx_vlapic_msr_changed; KVM '
        "vmx_update_msr_bitmap_x2apic"
    ),
    avoid="""\
language 1
target vmx
import "std/x2apic.pol"
default passthrough
intercept msr x2apic.REGISTERS -> forward(vlapic)
""",
    prefer="""\
language 1
target vmx
import "std/x2apic.pol"
default passthrough
# Virtual-interrupt delivery takes the rest.
intercept msr x2apic.REGISTERS except x2apic.APICV_WRITES -> forward(vlapic)
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    ranges = subtract(subject.msrs("x2apic", "hot", every=True), subject.msrs("host-critical", "time"))
    places = subject.trapped(MSR, ranges, 1 << MSR_WRITE, explicit=True)
    notes = ("written for every interrupt; hardware with APICv takes these writes without an exit",)
    yield from costly(RULE, subject, places, space=MSR, notes=notes, what="each write")
