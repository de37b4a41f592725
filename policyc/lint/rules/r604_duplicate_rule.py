"""R604: a rule that repeats another."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.alike import alike, whole_lines
from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.vocabulary.diagnostic import Diagnostic, Edit, Fix, Label
from policyc.vocabulary.intervals import intersect

RULE = Rule(
    "R604",
    "duplicate-rule",
    "warning",
    why=(
        "Every access that it names is named by the other, with the same actions. The fix deletes it; images "
        "stay what they are."
    ),
    source="policyc: docs/precedence.md",
    avoid="""\
language 1
target vmx
default passthrough
intercept msr 0x1b write
intercept msr { 0x1b, 0x3a } write
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept msr { 0x1b, 0x3a } write
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    told: set[int] = set()
    for left, right in subject.overlapping():
        if not alike(left, right, columns=False):
            continue
        small, large = (left, right) if intersect(left.ranges, right.ranges) == left.ranges else (right, left)
        inside = intersect(small.ranges, large.ranges) == small.ranges and not small.columns & ~large.columns
        if small.ranges == large.ranges and small.columns == large.columns:
            small, large = right, left
        if not inside or small.number in told or large.number in told:
            continue
        if small.label is not None:
            continue
        told.add(small.number)
        fix = Fix("delete it", (Edit(whole_lines(small.statement), ""),), safe=True)
        yield found(
            RULE,
            small.span,
            "this rule repeats another",
            secondary=(Label(large.span, "which names all of it"),),
            helps=("delete it",),
            fixes=(fix,),
        )
