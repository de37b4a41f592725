"""T507: other instructions reach what the rule traps."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found, registers
from policyc.vocabulary.access import MSR, MSR_READ, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import intersect

RULE = Rule(
    "T507",
    "side-effects",
    "warning",
    why=(
        "Bitmaps and filters see RDMSR and WRMSR. RDTSC and RDTSCP read the counter, RDPID and RDTSCP the "
        "processor number, WRFSBASE, WRGSBASE and SWAPGS change the bases, RDPMC reads counters: none of them "
        "asks the bitmap. A rule that means to hide or guard such a register needs the control that governs "
        "the instruction too."
    ),
    source=(
        'Intel SDM vol. 3C, "Instructions That Cause VM Exits Conditionally" and "Processor-Based VM- '
        'Execution Controls" (RDTSC and RDPMC exiting, enable RDTSCP)'
    ),
    avoid="""\
language 1
target vmx
default passthrough
deny msr IA32_TSC_AUX
""",
    prefer="""\
language 1
target vmx
default passthrough
deny msr PPIN
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    for rule in subject.policy.rules:
        if rule.space != MSR or not rule.traps or rule.actions[-1].name not in _HIDING or not subject.own(rule):
            continue
        for names, columns, instructions, control in _WAYS:
            part = intersect(rule.ranges, subject.msr(*names))
            if part and rule.columns & columns:
                yield found(
                    RULE,
                    rule.span,
                    f"{instructions} reach{'' if ' ' in instructions else 'es'} "
                    f"{registers(subject, MSR, part)} without asking this rule",
                    notes=("bitmaps and filters see RDMSR and WRMSR only",),
                    helps=(f"what governs the instruction: {control}",),
                )


_HIDING = frozenset({"inject", "const", "drop", "shadow", "kill"})
"""Actions by which a policy hides or guards a register; one that only looks at accesses is not meant."""

_WAYS = (
    (("IA32_TSC",), 1 << MSR_READ, "RDTSC and RDTSCP", "`RDTSC exiting`, or the TSC offset"),
    (("IA32_TSC_AUX",), 1 << MSR_READ, "RDTSCP and RDPID", "`enable RDTSCP` clear, and CPUID without them"),
    (
        ("IA32_FS_BASE", "IA32_GS_BASE"),
        1 << MSR_WRITE,
        "WRFSBASE and WRGSBASE",
        "CR4.FSGSBASE, by a CR4 guest/host mask",
    ),
    (("IA32_KERNEL_GS_BASE",), 1 << MSR_WRITE, "SWAPGS", "nothing: it never exits"),
    (("IA32_PMC", "IA32_FIXED_CTR"), 1 << MSR_READ, "RDPMC", "`RDPMC exiting`"),
)
"""Registers, columns, the instructions that pass by the rule, and what stops them. Intel SDM vol. 3C, as cited above."""
