"""Y707: a label that is not in lower case."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.syntax import tree
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "Y707",
    "label-case",
    "info",
    why="Labels become part of C names and of reports: lower case with `_` between words, as in C.",
    source="policyc: docs/language.md",
    avoid="""\
language 1
target vmx
default passthrough
EferWrites: intercept msr IA32_EFER write
""",
    prefer="""\
language 1
target vmx
default passthrough
efer_writes: intercept msr IA32_EFER write
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    for _, statement in subject.statements():
        label = statement.label if isinstance(statement, tree.Rule) else None
        if label is not None and label.text != label.text.lower():
            yield found(
                RULE, label.span, f"the label `{label.text}` is not in lower case", helps=("as in C: efer_writes",)
            )
