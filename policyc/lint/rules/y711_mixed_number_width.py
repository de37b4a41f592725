"""Y711: numbers of a set with different counts of digits."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.syntax import tree
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "Y711",
    "mixed-number-width",
    "info",
    why="`{ 0x60, 0x064 }` makes a reader look twice. Off by default.",
    source="convention",
    avoid="""\
language 1
target vmx
default passthrough
intercept io { 0x60, 0x064 }
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
            padded = [
                each
                for each in statement.items.items
                if isinstance(each, tree.Single)
                and each.span.text.lower().startswith("0x0")
                and len(each.span.text) > 3
            ]
            if padded and len(padded) < len(statement.items.items):
                said = f"`{padded[0].span.text}` is padded with zeros, others of its set are not"
                yield found(RULE, padded[0].span, said, helps=("pad all or none",))
