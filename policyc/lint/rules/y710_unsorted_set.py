"""Y710: numbers of a set out of order."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.syntax import tree
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "Y710",
    "unsorted-set",
    "info",
    why=("In order, a missing or doubled number is seen at once. Off by default: many sets are sorted by meaning."),
    source="convention",
    avoid="""\
language 1
target vmx
default passthrough
intercept io { 0x64, 0x60 }
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept io { 0x60, 0x64 }
""",
    on=False,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    for _, statement in subject.statements():
        if isinstance(statement, tree.Rule | tree.LetSet) and statement.items.braced:
            values = [
                each.value.value
                for each in statement.items.items
                if isinstance(each, tree.Single) and isinstance(each.value, tree.Number)
            ]
            if values != sorted(values):
                yield found(
                    RULE, statement.items.span, "the numbers of this set are not in order", helps=("sort them",)
                )
