"""X902: a waiver without a reason."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "X902",
    "no-reason",
    "error",
    why=(
        "Waivers of security, performance and target findings say why, for whoever reads them in a year. "
        "Without a reason they waive nothing. One that begins with TODO, as `--add-waivers` writes it where no "
        "--reason is given, accepts the finding, and this one stands in its place until somebody has thought."
    ),
    source="policyc: docs/lint.md",
    avoid="""\
language 1
target vmx
default msr exit
default io exit
allow msr { IA32_FS_BASE, IA32_GS_BASE, IA32_KERNEL_GS_BASE }
# policyc: ignore[S401]
allow msr IA32_FEATURE_CONTROL
""",
    prefer="""\
language 1
target vmx
default msr exit
default io exit
allow msr { IA32_FS_BASE, IA32_GS_BASE, IA32_KERNEL_GS_BASE }
# policyc: ignore[S401] reason="locked by firmware, checked at start"
allow msr IA32_FEATURE_CONTROL
""",
    by_compiler=True,
)
