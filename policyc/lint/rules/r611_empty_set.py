"""R611: a set without members."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.syntax import tree
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "R611",
    "empty-set",
    "warning",
    why="An exception took everything away. A rule over nothing does nothing.",
    source="policyc: docs/language.md",
    avoid="""\
language 1
target vmx
default passthrough
intercept io 0x60..0x64 except 0x0..0xff
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept io 0x60..0x64 except 0x61
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    for file, statement in subject.statements():
        if not isinstance(statement, tree.Rule | tree.LetSet | tree.Never | tree.Assert) or statement.excepts is None:
            continue
        if subject.scope(file).items(statement.space.text, statement.items, statement.excepts, []) == ():
            span = statement.items.span.to(statement.excepts.span)
            yield found(RULE, span, "nothing is left: the exception takes all of it away", helps=("correct it",))
