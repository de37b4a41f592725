"""P309: a busy port exits."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import costly
from policyc.vocabulary.access import IO, IO_MASK
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "P309",
    "hot-port",
    "info",
    why=(
        "Old software waits by writing to 0x80, reads the ACPI timer or the PIT for every clock query, and "
        "moves a disk's or a serial line's bytes through one port. Each is an exit. Where the device is "
        "emulated there is no other way, and the finding only says where the time goes."
    ),
    source=(
        "Linux arch/x86/kernel/io_delay.c, drivers/clocksource/acpi_pm.c; Jailhouse qemu-x86.c lets the PM "
        "timer through"
    ),
    avoid="""\
language 1
target vmx
default passthrough
intercept io POST
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept io RESET_CONTROL -> forward(reset)
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    places = subject.trapped(IO, subject.ports("hot"), IO_MASK, explicit=True)
    notes = ("read or written for every tick, byte or delay",)
    helps = ("nothing to change where the device is emulated; else leave these ports out",)
    yield from costly(RULE, subject, places, space=IO, notes=notes, helps=helps)
