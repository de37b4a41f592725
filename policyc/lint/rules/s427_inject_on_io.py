"""S427: a port access faults, as on no real machine."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Place, Subject
from policyc.lint.words import found
from policyc.vocabulary.access import IO
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "S427",
    "inject-on-io",
    "info",
    why=(
        "IN and OUT to a port that nothing answers give all ones and nothing; they never fault in ring 0. A "
        "guest whose driver probes such a port dies of the #GP. Off by default: some hypervisors mean it."
    ),
    source="PC/AT bus convention; language reference, `drop`",
    avoid="""\
language 1
target vmx
default passthrough
intercept io VMPORT -> inject(gp)
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept io VMPORT -> drop
""",
    on=False,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    for rule in subject.policy.rules:
        if rule.space == IO and rule.actions[-1].name == "inject" and subject.own(rule):
            said = f"{Place(rule, rule.actions, rule.span, rule.ranges, rule.columns, ()).subject} makes a guest fault"
            notes = ("on a real machine an absent port reads all ones and ignores writes",)
            yield found(RULE, rule.span, said, notes=notes, helps=("use `drop`",))
