"""P303: a log line for every access to something busy."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found, registers
from policyc.vocabulary.access import IO, MSR
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import intersect, size

RULE = Rule(
    "P303",
    "log-on-hot-path",
    "warning",
    why=(
        "A log entry for every interrupt, tick or character slows the guest down and buries what the log is "
        "for; a guest can fill a disk with it. `log(rate=N)` keeps N entries a second. The same holds for a "
        "rule over many registers."
    ),
    source="language reference, `log`",
    avoid="""\
language 1
target vmx
default passthrough
intercept io COM1 -> log, forward(uart)
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept io COM1 -> log(rate=10), forward(uart)
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    hot = {MSR: subject.msrs("hot"), IO: subject.ports("hot")}
    for rule in subject.policy.rules:
        endless = any(each.name == "log" and not dict(each.arguments).get("rate") for each in rule.actions)
        if not endless or not rule.traps or not subject.own(rule):
            continue
        busy = intersect(rule.ranges, hot[rule.space])
        if not busy and size(rule.ranges) <= _MANY:
            continue
        what = registers(subject, rule.space, busy) if busy else f"{size(rule.ranges)} addresses"
        yield found(
            RULE,
            rule.span,
            f"every access to {what} is logged, without a limit",
            notes=("a guest can fill the log as fast as it can exit",),
            helps=("limit it: log(rate=10)",),
        )


_MANY = 16
"""Addresses of a rule from which on its log is taken to be busy."""
