"""Y706: a decimal number whose digits are a known address."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "Y706",
    "decimal-index",
    "warning",
    why="`378` is port 0x17a; whoever wrote it most likely meant 0x378, the printer.",
    source="policyc: docs/language.md",
    avoid="""\
language 1
target vmx
default passthrough
intercept io 378
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept io 0x378
""",
    by_compiler=True,
)
