"""R613: some of a rule's addresses are decided by others."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import intersect, normal, size, subtract

RULE = Rule(
    "R613",
    "partially-shadowed",
    "info",
    why=(
        "Often meant: an `allow` is an exception to an `intercept`. The finding counts, for whoever wants to "
        "know what is left of a rule. Off by default."
    ),
    source="policyc: docs/precedence.md",
    avoid="""\
language 1
target vmx
default passthrough
intercept io 0x60..0x6f
allow io 0x61
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept io { 0x60, 0x62..0x6f }
""",
    on=False,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    decided: dict[int, list[tuple[int, int]]] = {}
    for decisions in subject.maps.values():
        for runs in decisions.columns:
            for run in runs:
                for number in run.chain:
                    decided.setdefault(number, []).append((run.lo, run.hi))
    for rule in subject.policy.rules:
        kept = intersect(normal(decided.get(rule.number, ())), rule.ranges)
        if kept and kept != rule.ranges and subject.own(rule):
            part, whole = size(subtract(rule.ranges, kept)), size(rule.ranges)
            yield found(RULE, rule.span, f"{part:,} of the {whole:,} addresses of this rule are decided by others")
