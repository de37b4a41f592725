"""P307: reads of the system-call entry points exit."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import costly
from policyc.vocabulary.access import MSR, MSR_READ
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "P307",
    "syscall-entry-trapped",
    "info",
    why=(
        "A monitor that guards STAR, LSTAR or SYSENTER needs to see who writes them; reads tell nobody "
        "anything new. Off by default."
    ),
    source='Intel SDM vol. 3A, "Fast System Calls in 64-Bit Mode"',
    avoid="""\
language 1
target vmx
default passthrough
intercept msr IA32_LSTAR -> forward(watch_entry)
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept msr IA32_LSTAR write -> forward(watch_entry)
""",
    on=False,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    places = subject.trapped(MSR, subject.msrs("syscall"), 1 << MSR_READ, explicit=True)
    notes = ("a monitor learns from writes alone",)
    yield from costly(RULE, subject, places, space=MSR, notes=notes, what="each read")
