"""S408: a guest configures the host's PCI devices, or half of it is trapped."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import GUEST, Rule
from policyc.lint.subject import Place, Subject
from policyc.lint.words import found, registers, where
from policyc.targets.windows import listed
from policyc.vocabulary.access import IO, OUT_MASK
from policyc.vocabulary.diagnostic import Accesses, Diagnostic, Label
from policyc.vocabulary.intervals import Intervals, intersect, subtract, union
from policyc.vocabulary.span import Span

RULE = Rule(
    "S408",
    "pci-config",
    "error",
    why=(
        "Ports 0xcf8..0xcff are the way to every device's configuration: base addresses, bus mastering, MSI. "
        "A guest that has them moves a device's registers over memory, or lets it write there. A policy that "
        "traps only some of the eight ports is worse than one that traps none: it looks closed and is open, "
        "because an address written to a passed part selects what the passed data port then changes. Half "
        "coverage is an error under every threat."
    ),
    source="PCI Local Bus Specification 3.0, 3.2.2.3.2; ACRN vpci.c; Jailhouse and Xen trap all eight",
    avoid="""\
language 1
target vmx
default passthrough
intercept io 0xcf8
""",
    prefer="""\
language 1
target vmx
import "std/pci.pol"
default passthrough
intercept io pci.ALL -> forward(vpci)
""",
)


# The reset control 0xcf9 lies among the eight ports. A policy that traps it alone is about resets, not half of PCI.
def check(subject: Subject) -> Iterator[Diagnostic]:
    ports = subject.ports("pci-config")
    places = subject.open(IO, ports, OUT_MASK)
    passed = union(*(each.ranges for each in places))
    kept = subtract(subtract(ports, passed), subject.ports("reset"))
    if passed and kept:
        yield from (_half(subject, place, ports, passed) for place in places)
    elif subject.threat == GUEST:
        for place in places:
            yield found(
                RULE,
                place.span,
                f"{place.subject} lets a guest write {registers(subject, IO, place.ranges)}{where(place)}",
                notes=("with them a guest moves any device's registers and lets it write to any memory",),
                helps=(f"trap all eight: intercept io {listed(ports)}",),
                accesses=(Accesses(IO, place.ranges, place.columns, False),),
            )


def _half(subject: Subject, place: Place, ports: Intervals, passed: Intervals) -> Diagnostic:
    """Told at the rule that traps the other half, where the default lets this one through: that is the mistake."""
    kept = subtract(ports, passed)
    span: Span = place.span
    secondary: tuple[Label, ...] = ()
    if place.rule is None:
        for rule in subject.policy.rules:
            if rule.space == IO and rule.traps and intersect(rule.ranges, kept) and subject.own(rule):
                span, secondary = rule.span, (Label(place.span, "lets the others through"),)
                break
    return found(
        RULE,
        span,
        f"of the PCI configuration ports, {listed(kept)} exits and {listed(place.ranges)} does not{where(place)}",
        secondary=secondary,
        notes=("half of it closes nothing: an address written through the open part moves any device's registers",),
        helps=(f"trap all eight: intercept io {listed(ports)}",),
        accesses=(Accesses(IO, kept, place.columns, True), Accesses(IO, place.ranges, place.columns, False)),
    )
