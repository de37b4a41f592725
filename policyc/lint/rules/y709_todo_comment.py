"""Y709: a comment that says that something is left to do."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "Y709",
    "todo-comment",
    "info",
    why="Finds what was left for later before it ships. Off by default.",
    source="convention",
    avoid="""\
language 1
target vmx
default passthrough
# TODO: which ports does the card have?
intercept io 0xc000..0xc03f
""",
    prefer="""\
language 1
target vmx
default passthrough
# The card's registers.
intercept io 0xc000..0xc03f
""",
    on=False,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    for file in subject.files:
        for comment in file.module.comments:
            if any(word in comment.text for word in ("TODO", "FIXME", "XXX")):
                yield found(RULE, comment.span, "something is left to do here", helps=("do it, or say who will",))
