"""Y702: the default is not stated."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "Y702",
    "no-default",
    "warning",
    why=(
        "What no rule names passes through unless the policy says otherwise. That is a decision, and a "
        "reviewer wants to read it."
    ),
    source="policyc: docs/precedence.md",
    avoid="""\
language 1
intercept msr 0xc0000080
""",
    prefer="""\
language 1
default passthrough
intercept msr 0xc0000080
""",
    by_compiler=True,
)
