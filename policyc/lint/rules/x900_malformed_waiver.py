"""X900: a waiver that cannot be read."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "X900",
    "malformed-waiver",
    "error",
    why=(
        'A waiver names codes in brackets, then `reason="..."`, `until=YYYY-MM-DD` and `by=@who`. One that '
        "cannot be read waives nothing, so it is an error and not a comment."
    ),
    source="policyc: docs/lint.md",
    avoid="""\
language 1
target vmx
default passthrough
# policyc: ignore S401
intercept msr IA32_EFER
""",
    prefer="""\
language 1
target vmx
default passthrough
# policyc: ignore[P306] reason="measured"
intercept msr IA32_SPEC_CTRL
""",
    by_compiler=True,
)
