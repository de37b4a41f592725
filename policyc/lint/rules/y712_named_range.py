"""Y712: a range between two names."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "Y712",
    "named-range",
    "info",
    why=(
        "`IA32_STAR..IA32_FMASK` is as many numbers as lie between, whatever they are called; the finding "
        "shows how many."
    ),
    source="policyc: docs/language.md",
    avoid="""\
language 1
target vmx
default passthrough
intercept msr IA32_STAR..IA32_FMASK
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept msr 0xc0000081..0xc0000084
""",
    by_compiler=True,
)
