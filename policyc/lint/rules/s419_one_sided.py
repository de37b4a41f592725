"""S419: a rule traps a direction that the register does not have."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found, registers
from policyc.vocabulary.access import MSR, MSR_MASK, MSR_READ, MSR_WRITE
from policyc.vocabulary.diagnostic import Accesses, Diagnostic
from policyc.vocabulary.intervals import normal, size, union

RULE = Rule(
    "S419",
    "one-sided",
    "info",
    why=(
        "A read-only register that is trapped for writes, or a write-only one for reads, is a sign of a "
        "swapped direction: the access that exists passes. Jailhouse's xAPIC list for AMD has two such "
        "entries."
    ),
    source=(
        'Intel SDM vol. 3A, "x2APIC Register Address Space" (LDR is read-only, SELF_IPI write-only); '
        "siemens/jailhouse svm.c"
    ),
    avoid="""\
language 1
target vmx
default passthrough
intercept msr IA32_X2APIC_LDR write
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept msr IA32_X2APIC_LDR read
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    for rule in subject.policy.rules:
        one_way = rule.space == MSR and rule.columns in (1 << MSR_READ, 1 << MSR_WRITE)
        if not one_way or not rule.traps or size(rule.ranges) > _MOST or not subject.own(rule):
            continue
        has = "r" if rule.columns == 1 << MSR_WRITE else "w"
        other = MSR_MASK & ~rule.columns
        wrong = [
            (address, address)
            for lo, hi in rule.ranges
            for address in range(lo, hi + 1)
            if {each.access for each in subject.database.msr_entries(address)} == {has}
        ]
        passed = union(*(each.ranges for each in subject.open(MSR, normal(wrong), other)))
        if passed:
            word, only = ("writes", "read-only") if has == "r" else ("reads", "write-only")
            yield found(
                RULE,
                rule.span,
                f"{word} of {registers(subject, MSR, passed)} are trapped, but it is {only}",
                notes=("the access that the register has reaches hardware",),
                helps=(f"was {'read' if has == 'r' else 'write'} meant?",),
                accesses=(Accesses(MSR, passed, rule.columns, True), Accesses(MSR, passed, other, False)),
            )


_MOST = 64
"""MSRs of a rule up to which it was written with single registers in mind."""
