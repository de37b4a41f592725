"""X905: a waiver that the settings do not permit."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "X905",
    "forbidden",
    "error",
    why=(
        "`forbid-waivers` in the settings names findings that no comment in a policy may accept: what an "
        "organisation does not leave to the author."
    ),
    source="policyc: docs/lint.md",
    avoid="""\
language 1
target vmx
default msr exit
default io exit
allow msr { IA32_FS_BASE, IA32_GS_BASE, IA32_KERNEL_GS_BASE }
# policyc: ignore[S403] reason="vendor asked for it"
allow msr IA32_BIOS_UPDT_TRIG
""",
    prefer="""\
language 1
target vmx
default msr exit
default io exit
allow msr { IA32_FS_BASE, IA32_GS_BASE, IA32_KERNEL_GS_BASE }
intercept msr IA32_BIOS_UPDT_TRIG -> drop
""",
    by_compiler=True,
)
