"""X901: a waiver that waives nothing."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "X901",
    "unused-waiver",
    "warning",
    why=(
        "The finding has gone, or the comment stands at the wrong line. Waivers that stay behind would "
        "swallow the next mistake."
    ),
    source="policyc: docs/lint.md",
    avoid="""\
language 1
target vmx
default msr exit
default io exit
allow msr { IA32_FS_BASE, IA32_GS_BASE, IA32_KERNEL_GS_BASE }
# policyc: ignore[S401] reason="locked by firmware"
allow msr IA32_EFER read
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
