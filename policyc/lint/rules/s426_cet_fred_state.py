"""S426: a guest owns the state of shadow stacks or of FRED."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import MSR, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "S426",
    "cet-fred-state",
    "info",
    why=(
        "Where the processor enters the host's kernel and on which shadow stack stands in these registers. A "
        "guest may have them only where VM exit loads the host's own before the host runs: by the VMCS "
        "controls for CET and FRED state, or by hand for those that no control covers. On a host that uses "
        "neither, nothing is lost."
    ),
    source=(
        'Intel SDM vol. 1, "Control-flow Enforcement Technology", and vol. 3C, "VM-Exit Controls" (load CET '
        "state); Intel FRED specification, VMX interactions"
    ),
    avoid="""\
language 1
target vmx
default exit
allow msr IA32_S_CET
""",
    prefer="""\
language 1
target vmx
default exit
deny msr IA32_S_CET
""",
    threats=FROM_GUEST,
    on=False,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    notes = ("safe where VM exit loads the host's own state, or the host uses neither CET nor FRED",)
    ranges = subject.msrs("cet", "fred", need="w")
    yield from opened(RULE, subject, MSR, ranges, 1 << MSR_WRITE, what="write", notes=notes)
