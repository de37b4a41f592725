"""R602: two rules say the same of some addresses."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.alike import alike
from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.targets.windows import listed
from policyc.vocabulary.diagnostic import Diagnostic, Label
from policyc.vocabulary.intervals import intersect

RULE = Rule(
    "R602",
    "overlap-same-action",
    "info",
    why="They agree, so nothing is wrong; but whoever changes one will wonder about the other.",
    source="policyc: docs/precedence.md",
    avoid="""\
language 1
target vmx
default passthrough
intercept io 0x60..0x64
intercept io 0x62..0x66
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept io 0x60..0x66
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    for left, right in subject.overlapping():
        if not alike(left, right):
            continue
        common = intersect(left.ranges, right.ranges)
        if common not in (left.ranges, right.ranges):
            yield found(
                RULE,
                right.span,
                f"{listed(common)} is named twice, with one meaning",
                secondary=(Label(left.span, "also named here"),),
                helps=("name it once",),
            )
