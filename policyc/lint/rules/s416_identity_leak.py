"""S416: a guest reads who the host is."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import MSR, MSR_READ
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "S416",
    "identity-leak",
    "warning",
    why=(
        "Serial numbers, platform identifiers and microcode revisions tell one host from another. A guest "
        "that should run the same anywhere, or not know where it is, must not see them. Off by default: most "
        "guests may."
    ),
    source="Intel SDM vol. 4 table 2-2 (4FH PPIN, 17H, 8BH); harmony's MSR contract",
    avoid="""\
language 1
target vmx
default exit
allow msr PPIN read
""",
    prefer="""\
language 1
target vmx
default exit
deny msr PPIN
""",
    threats=FROM_GUEST,
    on=False,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    ranges = subject.msrs("identity", need="r")
    notes = ("the value tells this host from others",)
    yield from opened(RULE, subject, MSR, ranges, 1 << MSR_READ, what="read", notes=notes)
