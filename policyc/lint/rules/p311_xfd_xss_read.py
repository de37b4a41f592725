"""P311: reads of XSS, XFD or XFD_ERR exit."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import costly
from policyc.vocabulary.access import MSR, MSR_READ
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "P311",
    "xfd-xss-read",
    "info",
    why=(
        "Only writes of these change what XSAVES and AMX may do. Reads are harmless and, for XFD_ERR, part of "
        "every #NM handler. Off by default."
    ),
    source="ACRN vmsr.c (XSS writes only); KVM passes XFD_ERR reads",
    avoid="""\
language 1
target vmx
default passthrough
intercept msr IA32_XSS
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept msr IA32_XSS write
""",
    on=False,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    places = subject.trapped(MSR, subject.msr("IA32_XSS", "IA32_XFD", "IA32_XFD_ERR"), 1 << MSR_READ, explicit=True)
    notes = ("only writes change what the guest may do",)
    yield from costly(RULE, subject, places, space=MSR, notes=notes, what="each read")
