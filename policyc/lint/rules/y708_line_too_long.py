"""Y708: a line of more than 120 characters."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.span import Span

RULE = Rule(
    "Y708",
    "line-too-long",
    "info",
    why=("A reviewer sees two versions side by side. `\\\\` continues a statement, a set may go over several lines."),
    source="policyc: docs/language.md",
    avoid="""\
language 1
target vmx
default passthrough
# A comment that goes on and on, and could as well have been written on two lines or even three, for whoever may read it.
intercept msr IA32_EFER write
""",
    prefer="""\
language 1
target vmx
default passthrough
# A comment that ends in time.
intercept msr IA32_EFER write
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    for file in subject.files:
        source = file.module.source
        for number in range(1, source.line_count + 1):
            length = len(source.line(number))
            if length > LONGEST:
                start = source.line_start(number)
                span = Span(source, start + LONGEST, start + length)
                yield found(RULE, span, f"this line has {length} characters", helps=(f"at most {LONGEST}",))


LONGEST = 120
"""Characters of a line."""
