"""P306: speculation controls exit."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import costly
from policyc.vocabulary.access import MSR, MSR_MASK
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "P306",
    "speculation-msr-hot",
    "warning",
    why=(
        "Guests write SPEC_CTRL on entry to and exit from their kernels, and PRED_CMD or FLUSH_CMD on "
        "switches between processes. They act on the guest's own speculation, so hypervisors whose guests see "
        "them in CPUID let them through and swap SPEC_CTRL."
    ),
    source="Linux arch/x86/kvm/vmx/vmx.c; Xen and Hedron pass SPEC_CTRL, PRED_CMD and FLUSH_CMD",
    avoid="""\
language 1
target vmx
default passthrough
intercept msr { IA32_SPEC_CTRL, IA32_PRED_CMD }
""",
    prefer="""\
language 1
target vmx
default passthrough
# Not offered in CPUID.
deny msr { IA32_SPEC_CTRL, IA32_PRED_CMD }
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    places = subject.trapped(MSR, subject.msrs("speculation", "hot", every=True), MSR_MASK, explicit=True)
    notes = ("written on each entry to the guest's kernel or each switch of processes",)
    yield from costly(RULE, subject, places, space=MSR, notes=notes)
