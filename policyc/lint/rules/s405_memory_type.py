"""S405: a guest changes how the host's memory is cached."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import MSR, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import intersect

RULE = Rule(
    "S405",
    "memory-type",
    "error",
    why=(
        "MTRRs and their kin give physical memory its cache type, for the whole machine and not for the "
        "guest. A guest that writes them can make the host's memory uncached, or device memory cached. "
        "IA32_PAT is not meant: VM entry and exit switch it."
    ),
    source=(
        'Intel SDM vol. 3A, "Memory Type Range Registers (MTRRs)"; AMD64 APM vol. 2, "Memory-Type Range '
        'Registers"; Jailhouse vmx.c, NoirVisor and ACRN trap the writes'
    ),
    avoid="""\
language 1
target vmx
import "std/mtrr.pol"
default exit
# Firmware sets them up.
allow msr mtrr.ALL
""",
    prefer="""\
language 1
target vmx
import "std/mtrr.pol"
default exit
# The guest may read them; its writes go to virtual ones.
allow msr mtrr.ALL read
intercept msr mtrr.ALL write -> forward(vmtrr)
""",
    threats=FROM_GUEST,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    ranges = intersect(subject.msrs("memory-type", need="w"), subject.msrs("host-critical"))
    notes = ("cache types belong to the machine, not to the guest",)
    yield from opened(RULE, subject, MSR, ranges, 1 << MSR_WRITE, what="write", notes=notes)
