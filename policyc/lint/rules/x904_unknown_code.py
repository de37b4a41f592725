"""X904: a waiver of a finding that does not exist."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "X904",
    "unknown-code",
    "error",
    why="A misspelt code waives nothing. Codes and names are both understood.",
    source="policyc: docs/lint.md",
    avoid="""\
language 1
target vmx
default msr exit
default io exit
allow msr { IA32_FS_BASE, IA32_GS_BASE, IA32_KERNEL_GS_BASE }
# policyc: ignore[S4O1] reason="locked"
allow msr IA32_FEATURE_CONTROL
""",
    prefer="""\
language 1
target vmx
default msr exit
default io exit
allow msr { IA32_FS_BASE, IA32_GS_BASE, IA32_KERNEL_GS_BASE }
# policyc: ignore[feature-control] reason="locked by firmware, checked at start"
allow msr IA32_FEATURE_CONTROL
""",
    by_compiler=True,
)
