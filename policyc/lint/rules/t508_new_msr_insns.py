"""T508: newer instructions that obey the MSR bitmap."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "T508",
    "new-msr-insns",
    "info",
    why=(
        "RDMSRLIST, WRMSRLIST, URDMSR, UWRMSR and the immediate forms of RDMSR and WRMSRNS obey the same "
        "bitmap, and exit with reasons of their own (78, 79, 80, 81, 84, 85). A hypervisor that enables them "
        "for guests must decode these exits; the generated handler takes RDMSR and WRMSR. Off by default: "
        "they are off unless a hypervisor turns them on."
    ),
    source="Intel Architecture Instruction Set Extensions; Bochs cpu/vmx.h",
    avoid="""\
language 1
target vmx
default passthrough
intercept msr IA32_APIC_BASE
""",
    prefer="""\
language 1
target svm
default passthrough
intercept msr IA32_APIC_BASE
""",
    on=False,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    if "vmx" in subject.targets:
        span = next((span for name, span in subject.policy.targets if name == "vmx"), subject.start)
        said = "RDMSRLIST, WRMSRLIST, URDMSR and the immediate forms exit by this bitmap too, for reasons of their own"
        helps = ("keep them off in the tertiary controls, or decode the exit reasons 78..81, 84 and 85",)
        yield found(RULE, span, said, helps=helps)
