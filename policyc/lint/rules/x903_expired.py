"""X903: a waiver whose time is over."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "X903",
    "expired",
    "warning",
    why=(
        "After `until` a waiver accepts nothing: the finding is told again, and this beside it. With "
        "`--strict-waivers` it is an error."
    ),
    source="policyc: docs/lint.md",
    avoid="""\
language 1
target vmx
default msr exit
default io exit
allow msr { IA32_FS_BASE, IA32_GS_BASE, IA32_KERNEL_GS_BASE }
# policyc: ignore[S401] reason="until the firmware update" until=2020-12-31
allow msr IA32_FEATURE_CONTROL
""",
    prefer="""\
language 1
target vmx
default msr exit
default io exit
allow msr { IA32_FS_BASE, IA32_GS_BASE, IA32_KERNEL_GS_BASE }
# policyc: ignore[S401] reason="until the firmware update" until=2999-12-31
allow msr IA32_FEATURE_CONTROL
""",
    by_compiler=True,
)
