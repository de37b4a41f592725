"""R612: an override that overrides nothing."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.semantics.policy import LAYER_OVERRIDE
from policyc.vocabulary.diagnostic import Diagnostic, Edit, Fix
from policyc.vocabulary.span import Span

RULE = Rule(
    "R612",
    "needless-override",
    "warning",
    why=(
        "`override` is for reviewers: it says that this rule beats another. Where there is no other, the word "
        "cries wolf."
    ),
    source="policyc: docs/precedence.md",
    avoid="""\
language 1
target vmx
default passthrough
override intercept io 0x64 -> kill
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept io 0x60..0x64
override intercept io 0x64 -> kill
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    overlapping = {each.number for pair in subject.overlapping(every=True) for each in pair}
    for rule in () if subject.crowded else subject.policy.rules:
        if rule.layer != LAYER_OVERRIDE or rule.number in overlapping or rule.module:
            continue
        text = rule.statement.text
        at = text.find("override")
        end = at + len("override")
        end += len(text[end:]) - len(text[end:].lstrip(" \t"))
        span = Span(rule.statement.source, rule.statement.start + at, rule.statement.start + end)
        fix = Fix("take the word out", (Edit(span, ""),), safe=True)
        helps = ("leave `override` out",)
        yield found(RULE, rule.span, "no other rule says anything here to override", helps=helps, fixes=(fix,))
