"""S421: a wide access starts below the ports of a rule."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.semantics import policy
from policyc.semantics.wording import brief
from policyc.targets.windows import listed
from policyc.vocabulary.access import IN4, IO, OUT4
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import Intervals, intersect, normal, union

RULE = Rule(
    "S421",
    "straddle",
    "info",
    why=(
        "A 16- or 32-bit access exits when any of its bytes is trapped, and the handler sees the port at "
        "which it starts. Where a rule's first port is not a multiple of four, an ordinary aligned access can "
        "start up to three ports below it, at a port that the rule does not name."
    ),
    source=(
        'Intel SDM vol. 3C, "Basic VM-Exit Information" (exit qualification for I/O instructions); kvm-unit- '
        "tests vmx_tests.c"
    ),
    avoid="""\
language 1
target vmx
default passthrough
intercept io SYSTEM_CONTROL_B -> forward(speaker)
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept io 0x60..0x63 -> forward(speaker_and_keyboard)
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    if not subject.hardware:
        return
    rules = [each for each in subject.policy.rules if each.space == IO and each.traps and subject.own(each)]
    places = subject.open(IO, union(*map(_below, rules)), 1 << IN4 | 1 << OUT4)
    everywhere = union(*(each.ranges for each in places))
    for rule in rules:
        passed = intersect(_below(rule), everywhere)
        if passed:
            yield found(
                RULE,
                rule.span,
                f"an aligned wide access that starts at {listed(passed)} exits because it reaches `{brief(rule.span.text)}`",
                notes=("the handler sees the port at which the access starts, which this rule does not name",),
                helps=("nothing to do where the generated handler decides: it looks at every byte",),
            )


def _below(rule: policy.Rule) -> Intervals:
    """Ports below the rule's at which an aligned access of four bytes starts that reaches them, and those between."""
    return normal((lo - lo % 4, lo - 1) for lo, _ in rule.ranges if lo % 4)
