"""T510: what must be set for the bitmaps to count."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "T510",
    "controls",
    "info",
    why=(
        "The images do nothing until the processor is told to use them: `use MSR bitmaps` and `use I/O "
        "bitmaps` (which overrides unconditional I/O exiting), and pages that are aligned to 4 KiB. The "
        "manifest lists the fields and values. Off by default."
    ),
    source=(
        'Intel SDM vol. 3C, "Processor-Based VM-Execution Controls"; AMD64 APM vol. 2, "IOIO Intercepts" and '
        '"MSR Intercepts"'
    ),
    avoid="""\
language 1
target vmx
default passthrough
intercept msr IA32_APIC_BASE
""",
    prefer="""\
language 1
target kvm
default passthrough
""",
    on=False,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    if subject.hardware:
        span = next((span for name, span in subject.policy.targets if name in subject.hardware), subject.start)
        said = "the bitmaps count only where the processor is told to use them"
        helps = ("set what the manifest lists under its VMCS or VMCB settings; align each page to 4 KiB",)
        yield found(RULE, span, said, helps=helps)
