"""P305: a rule tells apart what hardware cannot."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.analyses.excess import excess
from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.semantics.policy import Variant
from policyc.vocabulary.access import IO, IO_MASK
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "P305",
    "not-in-hardware",
    "info",
    why=(
        "The I/O bitmaps have one bit a port: no direction, no width, no value. A rule about `out` alone "
        "makes the `in` exit as well, and the handler passes it on. The count says how many of the 393,216 "
        "possible accesses exit beyond those that the rule names."
    ),
    source=('Intel SDM vol. 3C, "I/O-Bitmap Addresses"; AMD64 APM vol. 2, "IOIO Intercepts"; policyc: docs/targets.md'),
    avoid="""\
language 1
target vmx
default passthrough
intercept io COM1_DATA out -> log(rate=10), passthrough
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept io COM1_DATA -> log(rate=10), passthrough
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    if not subject.hardware:
        return
    shared = dict(excess(subject.policy, subject.maps[Variant()]).by_rule)
    for rule in subject.policy.rules:
        if rule.space == IO and rule.columns != IO_MASK and rule.number in shared and subject.own(rule):
            yield found(
                RULE,
                rule.span,
                f"{shared[rule.number]:,} accesses exit beyond those of this rule: a port has one bit",
                notes=("the bit covers both directions and every width; the handler passes the others on",),
                helps=("nothing to change if these exits are rare",),
            )
