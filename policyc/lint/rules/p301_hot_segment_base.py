"""P301: FS, GS and KERNEL_GS bases exit."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import costly
from policyc.vocabulary.access import MSR, MSR_MASK
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "P301",
    "hot-segment-base",
    "warning",
    why=(
        "A 64-bit guest without FSGSBASE writes these bases at every switch of threads, and an exit costs "
        "some thousand cycles each time. VT-x and SVM switch FS and GS by themselves; KERNEL_GS_BASE the "
        "hypervisor swaps. Xen, KVM, bhyve and Hedron pass all three."
    ),
    source=(
        "Linux arch/x86/kvm/vmx/vmx.c possible_passthrough_msrs; Xen vmx_clear_msr_intercept calls; FreeBSD "
        "vmm vmx_msr.c"
    ),
    avoid="""\
language 1
target vmx
default exit
""",
    prefer="""\
language 1
target vmx
import "std/syscall.pol"
default exit
# Written at every switch of threads.
allow msr syscall.SEGMENT_BASES
""",
    yields_to=("P308",),
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    places = subject.trapped(MSR, subject.msrs("segment-base"), MSR_MASK)
    notes = ("written at every switch of threads, unless the guest has FSGSBASE",)
    yield from costly(RULE, subject, places, space=MSR, notes=notes)
