"""S417: the host must save and restore what a guest owns."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.analyses.obligations import HOST, obligations
from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found, registers
from policyc.vocabulary.access import MSR, MSR_WRITE
from policyc.vocabulary.diagnostic import Accesses, Diagnostic
from policyc.vocabulary.intervals import normal

RULE = Rule(
    "S417",
    "passthrough-needs-swap",
    "info",
    why=(
        "VM entry and exit switch only some registers. Every other one that a guest writes keeps the guest's "
        "value while the host, or the next guest, runs. The manifest lists them under `obligations`; this "
        "finding says which rule made each. KERNEL_GS_BASE changes by SWAPGS even without any WRMSR."
    ),
    source=(
        'Intel SDM vol. 3C, "Guest Register State" and "Saving Guest State"; Hyperlight and KVM swap these by hand'
    ),
    avoid="""\
language 1
target vmx
default exit
# System calls are frequent.
allow msr IA32_LSTAR
""",
    prefer="""\
language 1
target vmx
default exit
# A field of the VMCS holds it.
allow msr IA32_SYSENTER_EIP
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    owed = [
        (each.lo, each.hi)
        for target in subject.hardware
        for decisions in subject.maps.values()
        for each in obligations(subject.policy, decisions, target, subject.database)
        if each.means == HOST
    ]
    for place in subject.open(MSR, normal(owed), 1 << MSR_WRITE):
        yield found(
            RULE,
            place.span,
            f"{place.subject} gives a guest {registers(subject, MSR, place.ranges)}, which the processor does not switch",
            notes=("the guest's value stays in the register while the host runs",),
            helps=("save and restore it around each run; the manifest's `obligations` say how",),
            accesses=(Accesses(MSR, place.ranges, place.columns, False),),
        )
