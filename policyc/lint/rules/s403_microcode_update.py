"""S403: a guest loads microcode into the host's processor."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import MSR, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "S403",
    "microcode-update",
    "error",
    why=(
        "A write to IA32_BIOS_UPDT_TRIG (AMD: PATCH_LOADER) loads a microcode update from the address that it "
        "carries, on the processor that the host runs on. An older update takes mitigations away; the host's "
        "own bookkeeping no longer holds."
    ),
    source=(
        'Intel SDM vol. 3A, "Microcode Update Facilities"; AMD64 APM vol. 2, microcode patch loader; Xen, KVM '
        "and ACRN swallow the write"
    ),
    avoid="""\
language 1
target vmx
default passthrough
""",
    prefer="""\
language 1
target vmx
default passthrough
# Accepted and forgotten, as Xen and KVM do.
intercept msr IA32_BIOS_UPDT_TRIG write -> drop
""",
    threats=FROM_GUEST,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    ranges = subject.msrs("microcode", "host-critical", need="w", every=True)
    notes = ("the update is loaded into the processor that the host runs on",)
    yield from opened(RULE, subject, MSR, ranges, 1 << MSR_WRITE, what="write", notes=notes)
