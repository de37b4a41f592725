"""S423: an allow opens something dangerous and does not say why."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found, registers
from policyc.semantics.modules import Loaded
from policyc.vocabulary.access import IO, MSR, MSR_WRITE, OUT_MASK
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import intersect
from policyc.vocabulary.span import Span

RULE = Rule(
    "S423",
    "dangerous-allow",
    "error",
    why=(
        "An `allow` is where a reviewer looks first. One that opens a register or port by which a guest "
        "changes the host must say why, in a comment on the line above or behind it, or in a waiver. Port "
        "0x80 is among them: letting guests write it crashed hosts."
    ),
    source=("CVE-2017-1000407 (Linux: KVM: VMX: remove I/O port 0x80 bypass on Intel hosts); minijail's policy linter"),
    avoid="""\
language 1
target vmx
default exit

allow io POST
""",
    prefer="""\
language 1
target vmx
default exit

# Old guests wait by writing here; the host's board has nothing at 0x80.
allow io POST
""",
    threats=FROM_GUEST,
    yields_to=("S4",),
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    risky = {MSR: subject.msrs("host-critical", need="w"), IO: subject.ports("host-critical")}
    said = {each.key: _commented(each) for each in subject.files}
    for rule in subject.policy.rules:
        writes = rule.columns & (1 << MSR_WRITE | OUT_MASK)
        file = subject.written.modules[rule.module]
        if rule.traps or not writes or rule.doc or not subject.own(rule):
            continue
        first, last = rule.statement.line, Span(rule.statement.source, rule.statement.end - 1, rule.statement.end).line
        if any(line in said[file.key] for line in (first - 1, *range(first, last + 1))):
            continue
        part = intersect(rule.ranges, risky[rule.space])
        for place in subject.open(rule.space, part, writes):
            if place.rule is rule:
                yield found(
                    RULE,
                    rule.span,
                    f"{place.subject} opens {registers(subject, rule.space, place.ranges)} and does not say why",
                    notes=("a guest that writes it changes the host, not itself",),
                    helps=("say in a comment above what makes it safe, or leave it out",),
                )


def _commented(file: Loaded) -> set[int]:
    """Lines that end in a comment or are one."""
    return {each.span.line for each in file.module.comments}
