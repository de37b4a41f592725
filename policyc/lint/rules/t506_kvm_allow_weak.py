"""T506: on KVM an allow is left to KVM."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.architecture.kvm import PASSED_TO_HARDWARE
from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found, registers
from policyc.vocabulary.access import MSR
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import subtract

RULE = Rule(
    "T506",
    "kvm-allow-weak",
    "info",
    why=(
        "An `allow` takes the MSR out of the filter. What then happens is KVM's decision: a few registers it "
        "passes to hardware, most it emulates, and unknown ones fault. Told for policies that name the target "
        "kvm."
    ),
    source="Linux arch/x86/kvm/vmx/vmx.c and svm/svm.c, possible pass-through and direct-access lists",
    avoid="""\
language 1
target kvm
default msr passthrough
default io exit
# The guest may see its microcode.
allow msr IA32_BIOS_SIGN_ID read
""",
    prefer="""\
language 1
target kvm
default msr passthrough
default io exit
# KVM passes these to hardware.
allow msr { IA32_FS_BASE, IA32_GS_BASE }
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    if "kvm" not in {name for name, _ in subject.policy.targets}:
        return
    for rule in subject.policy.rules:
        kept = subtract(rule.ranges, PASSED_TO_HARDWARE)
        if rule.space == MSR and not rule.traps and kept and subject.own(rule):
            yield found(
                RULE,
                rule.span,
                f"KVM decides about {registers(subject, MSR, kept)}: this only keeps its filter out",
                notes=("it emulates most registers, and unknown ones fault",),
                helps=("nothing to change if KVM's own answer is meant",),
            )
