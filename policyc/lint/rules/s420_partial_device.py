"""S420: some ports of a device exit and some do not."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.targets.windows import listed
from policyc.vocabulary.access import IO, IO_MASK
from policyc.vocabulary.diagnostic import Accesses, Diagnostic
from policyc.vocabulary.intervals import intersect, subtract

RULE = Rule(
    "S420",
    "partial-device",
    "warning",
    why=(
        "Half of a device is of no use to a guest and no protection to the host: a UART whose divisor latch "
        "reaches hardware while its data is emulated, a PIC with one of its two ports. Devices that are used "
        "as a whole carry the tag `whole` in the database."
    ),
    source=(
        "each device's data sheet, as the database cites it; Jailhouse's and ACRN's configurations give whole devices"
    ),
    avoid="""\
language 1
target vmx
default passthrough
intercept io 0x3f8..0x3fe -> forward(uart)
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept io COM1 -> forward(uart)
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    for device in subject.database.ports_tagged("whole"):
        closed = subject.covered(IO, device.ranges, IO_MASK)
        kept = subtract(device.ranges, closed)
        if not closed or not kept:
            continue
        for rule in subject.policy.rules:
            part = intersect(rule.ranges, kept if not rule.traps else closed)
            if rule.space != IO or not part or rule.profile is not None or not subject.own(rule):
                continue
            yield found(
                RULE,
                rule.span,
                f"of {device.name} ({listed(device.ranges)}), {listed(closed)} exits and {listed(kept)} does not",
                notes=(f"{device.name} is one device: {device.about}",),
                helps=(f"name it as a whole: {rule.verb} io {device.name}",),
                accesses=(Accesses(IO, closed, IO_MASK, True), Accesses(IO, kept, IO_MASK, False)),
            )
            break
