"""S415: a guest measures the host's energy."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import MSR, MSR_READ
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "S415",
    "energy-side-channel",
    "warning",
    why=(
        "RAPL counters tell how much energy the package used, in steps fine enough to tell instructions and "
        "operands apart: keys were read from SGX enclaves and other processes with them. They count "
        "everything on the package, not the guest."
    ),
    source=(
        "CVE-2020-8694, CVE-2020-8695, INTEL-SA-00389 (PLATYPUS); CVE-2020-12912 (AMD); QEMU answers them "
        "from its own thread"
    ),
    avoid="""\
language 1
target vmx
default exit
# For powertop.
allow msr PKG_ENERGY_STATUS read
""",
    prefer="""\
language 1
target vmx
default exit
# The guest reads its own share.
intercept msr PKG_ENERGY_STATUS read -> forward(virtual_energy)
""",
    threats=FROM_GUEST,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    ranges = subject.msrs("energy", need="r")
    notes = ("energy tells instructions and data of everything on the package apart",)
    yield from opened(RULE, subject, MSR, ranges, 1 << MSR_READ, what="read", notes=notes)
