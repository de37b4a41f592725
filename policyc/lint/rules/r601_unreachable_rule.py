"""R601: a rule that never decides anything."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found, registers
from policyc.vocabulary.diagnostic import ERROR, Diagnostic, Label

RULE = Rule(
    "R601",
    "unreachable-rule",
    "warning",
    why=(
        "Whatever the access, another rule decides. A dead `intercept` or `deny` under an `allow` is an "
        "error: somebody believes that it protects. A dead `allow` costs speed only and is a warning."
    ),
    source="policyc: docs/precedence.md; Jailhouse allows 0x64 and then always intercepts it",
    avoid="""\
language 1
target vmx
default passthrough
intercept msr IA32_DEBUGCTL write -> inject(gp)
allow msr 0x0..0x1fff except IA32_MISC_ENABLE
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept msr IA32_DEBUGCTL write -> inject(gp)
allow msr 0x0..0x1fff except { IA32_MISC_ENABLE, IA32_DEBUGCTL }
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    asked = {
        number
        for decisions in subject.maps.values()
        for runs in decisions.columns
        for run in runs
        for number in run.chain
    }
    for rule in subject.policy.rules:
        if rule.number in asked or not rule.ranges or not subject.own(rule):
            continue
        winner = subject.winner(rule)
        if winner is not None and rule.module and winner.module != rule.module:
            continue  # A module's rule that its importer overrules may count for others.
        if winner is None or (winner.actions == rule.actions and winner.traps == rule.traps):
            continue  # R604 tells of rules that only repeat others.
        lost = rule.traps and not winner.traps
        lo = rule.ranges[0][0]
        named = registers(subject, rule.space, ((lo, lo),))
        said = f"this rule can never take effect: {named} is decided by another"
        words = "is passed through by this" if lost else "is decided by this"
        yield found(
            RULE,
            rule.span,
            said,
            secondary=(Label(winner.span, words),),
            notes=("somebody may believe that it protects",) if lost else (),
            helps=("except what this rule is about from the other, or delete this one",),
            severity=ERROR if lost else "",
        )
