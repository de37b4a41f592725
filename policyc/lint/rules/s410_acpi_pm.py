"""S410: a guest powers the host off, or takes its power events."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import IO, OUT_MASK
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import Intervals, union

RULE = Rule(
    "S410",
    "acpi-pm",
    "warning",
    why=(
        "Sleep type and SLP_EN in PM1_CNT put the machine to sleep or off; the general-purpose event blocks "
        "say which devices wake and interrupt it. Where they lie is the chipset's choice, so this rule knows "
        "them only for a stated platform (`platform` in policyc.toml, or the module std/acpi_piix4 or "
        "std/acpi_q35 that the policy imports)."
    ),
    source="ACPI specification 6.5, 4.8.3; QEMU hw/acpi/ich9.c, hw/acpi/piix4.c",
    avoid="""\
language 1
target vmx
import "std/acpi_q35.pol" as acpi
default exit
# The timer is read often.
allow io acpi.PM
""",
    prefer="""\
language 1
target vmx
import "std/acpi_q35.pol" as acpi
default exit
# The timer is read often.
allow io acpi.PM_TIMER
""",
    threats=FROM_GUEST,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    ranges = union(*(_of(subject, each) for each in sorted(subject.platforms)))
    notes = ("SLP_EN powers the host off; event blocks acknowledge and mask its events",)
    yield from opened(RULE, subject, IO, ranges, OUT_MASK, what="write", notes=notes)


def _of(subject: Subject, platform: str) -> Intervals:
    """PM1 control and event blocks of a chipset; ``custom``: those of the user's own database files and old boards."""
    named = f"platform:{platform}"
    return union(
        *(
            each.ranges
            for each in subject.database.ports_tagged("acpi")
            if {"reset", "gpe"} & set(each.tags)
            and (
                named in each.tags
                or (platform == "custom" and not any(tag.startswith("platform:") for tag in each.tags))
            )
        )
    )
