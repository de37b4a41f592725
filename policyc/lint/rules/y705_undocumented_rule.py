"""Y705: a rule without a comment."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "Y705",
    "undocumented-rule",
    "info",
    why="For policies where every rule must say what it is for. Off by default.",
    source="minijail's policy linter",
    avoid="""\
language 1
target vmx
default passthrough

intercept msr IA32_EFER write
""",
    prefer="""\
language 1
target vmx
default passthrough

# Long mode is turned on here.
intercept msr IA32_EFER write
""",
    on=False,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    for file in subject.files:
        lines = {each.span.line for each in file.module.comments}
        for rule in subject.policy.rules:
            if subject.written.modules[rule.module].key != file.key or rule.doc:
                continue
            line = rule.statement.line
            if line not in lines and line - 1 not in lines:
                yield found(RULE, rule.span, "this rule says what it does, and not why", helps=("say it in a comment",))
