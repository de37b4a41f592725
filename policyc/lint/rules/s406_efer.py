"""S406: a guest writes EFER."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import MSR, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "S406",
    "efer",
    "warning",
    why=(
        "EFER turns long mode, no-execute and SYSCALL on. It is safe in a guest's hands on VT-x only if VM "
        "entry loads the guest's and VM exit the host's (the load-EFER and save-EFER controls); on SVM a "
        "guest that clears SVME cannot be entered again. The manifest lists the controls; this finding asks "
        "for the word of a person that they are set."
    ),
    source=(
        'Intel SDM vol. 3C, "VM-Exit Controls" and "VM-Entry Controls"; AMD64 APM vol. 2, "VMRUN Instruction" '
        "(EFER.SVME); bhyve vmx.c passes it with the controls, Xen reads only"
    ),
    avoid="""\
language 1
target vmx
default exit
# Fast.
allow msr IA32_EFER
""",
    prefer="""\
language 1
target vmx
default exit
# A guest may read what it wrote; writes are checked.
allow msr IA32_EFER read
intercept msr IA32_EFER write -> forward(efer_write)
""",
    threats=FROM_GUEST,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    notes = (
        "safe where VM entry loads and VM exit saves and reloads EFER (VT-x), or VMRUN switches it and SVME stays set (SVM)",
    )
    helps = ('if it is so, say it: # policyc: ignore[S406] reason="EFER is switched at VM entry and exit"',)
    ranges = subject.msr("IA32_EFER")
    for each in opened(RULE, subject, MSR, ranges, 1 << MSR_WRITE, what="write", notes=notes):
        yield each._replace(helps=(each.helps[0], *helps))
