"""S414: a guest sets voltage, frequency or power limits."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import MSR, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "S414",
    "voltage-power",
    "error",
    why=(
        "Voltage and frequency are the package's, not the guest's: an offset through the overclocking mailbox "
        "makes the processor compute wrongly (Plundervolt), power limits and clock modulation slow every "
        "other guest down."
    ),
    source=(
        "CVE-2019-11157, INTEL-SA-00289 (Plundervolt; the mailbox 0x150: Linux "
        'drivers/platform/x86/intel/turbo_max_3.c); Intel SDM vol. 3B, "Power and Thermal Management"'
    ),
    avoid="""\
language 1
target vmx
default exit
# The guest has a governor.
allow msr { IA32_PERF_CTL, IA32_HWP_REQUEST }
""",
    prefer="""\
language 1
target vmx
default exit
# The guest's governor talks to the host's.
intercept msr { IA32_PERF_CTL, IA32_HWP_REQUEST } -> forward(frequency_request)
""",
    threats=FROM_GUEST,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    ranges = subject.msrs("power", "host-critical", need="w", every=True)
    notes = ("voltage and frequency are shared; a wrong voltage makes any computation on the package wrong",)
    yield from opened(RULE, subject, MSR, ranges, 1 << MSR_WRITE, what="write", notes=notes)
