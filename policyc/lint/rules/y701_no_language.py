"""Y701: the language version is not stated."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "Y701",
    "no-language",
    "info",
    why="`language 1` fixes what the words mean, whatever a newer policyc learns.",
    source="policyc: docs/language.md",
    avoid="""\
default passthrough
""",
    prefer="""\
language 1
default passthrough
""",
    by_compiler=True,
)
