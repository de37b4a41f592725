"""S409: a guest resets the host."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import IO, OUT_MASK
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import intersect, subtract

RULE = Rule(
    "S409",
    "reset",
    "error",
    why=(
        "Three classic ports reset a PC: the chipset's reset control 0xcf9, the keyboard controller's command "
        "0xfe at 0x64, and bit 0 of port 0x92. Each takes the host and every other guest with it. 0xcf9 lies "
        "inside the PCI address dword 0xcf8..0xcfb: tell them apart by width."
    ),
    source=(
        "Intel ICH9 data sheet, RST_CNT; IBM PS/2 technical reference, port 92h; ACRN issue 1721; Jailhouse "
        "moderates 0x64"
    ),
    avoid="""\
language 1
target vmx
default exit
# The guest has a keyboard.
allow io { KBC_DATA, KBC_COMMAND }
""",
    prefer="""\
language 1
target vmx
default exit
# Commands are looked at: 0xfe would reset the host.
allow io { KBC_DATA, KBC_COMMAND } in
intercept io { KBC_DATA, KBC_COMMAND } out -> forward(keyboard_controller)
""",
    threats=FROM_GUEST,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    ranges = subtract(
        intersect(subject.ports("reset"), subject.ports("host-critical")), subject.ports("acpi", "device:tco")
    )
    notes = ("a write there resets the machine: the host and every guest",)
    yield from opened(RULE, subject, IO, ranges, OUT_MASK, what="write", notes=notes)
