"""S418: a guest masks NMIs or system errors of the host."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import IO, OUT_MASK
from policyc.vocabulary.diagnostic import Diagnostic

RULE = Rule(
    "S418",
    "nmi-mask",
    "warning",
    why=(
        "Bit 7 of port 0x70 masks NMI for the whole machine, ports 0x61 and 0x92 gate parity and channel "
        "errors. A guest that only wants the clock turns the host's watchdog and error reporting off."
    ),
    source="Intel ICH9 data sheet, NMI_EN and NMI_SC; IBM PC/AT technical reference",
    avoid="""\
language 1
target vmx
default exit
# The guest reads the clock.
allow io CMOS
""",
    prefer="""\
language 1
target vmx
default exit
# The index is masked before it reaches the clock.
allow io CMOS_DATA in
intercept io CMOS_INDEX out -> mask(and=0x7f)
""",
    threats=FROM_GUEST,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    notes = ("the bit that masks NMI or a system error is the whole machine's",)
    yield from opened(RULE, subject, IO, subject.ports("nmi"), OUT_MASK, what="write", notes=notes)
