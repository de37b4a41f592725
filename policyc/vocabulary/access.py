"""One access of a guest, and the eight columns into which all accesses fall.

A *column* is an access kind and width: the policy decides each column for itself. Bit ``1 << column`` of a mask of
columns says that the column is meant.
"""

from __future__ import annotations

from policyc.vocabulary.typed import NamedTuple

MSR, IO = "msr", "io"

MSR_READ, MSR_WRITE, IN1, IN2, IN4, OUT1, OUT2, OUT4 = range(8)
COLUMNS = (MSR_READ, MSR_WRITE, IN1, IN2, IN4, OUT1, OUT2, OUT4)
MSR_COLUMNS = (MSR_READ, MSR_WRITE)
IO_COLUMNS = (IN1, IN2, IN4, OUT1, OUT2, OUT4)
COLUMN_NAMES = ("rdmsr", "wrmsr", "in width 1", "in width 2", "in width 4", "out width 1", "out width 2", "out width 4")
COLUMN_WIDTHS = (8, 8, 1, 2, 4, 1, 2, 4)
"""Bytes that one access of the column carries."""

MSR_MASK = 0b0000_0011
IN_MASK = 0b0001_1100
OUT_MASK = 0b1110_0000
IO_MASK = IN_MASK | OUT_MASK

WIDTHS = (1, 2, 4)
WIDTH_MASKS = {1: 1 << IN1 | 1 << OUT1, 2: 1 << IN2 | 1 << OUT2, 4: 1 << IN4 | 1 << OUT4}

MSR_LAST = 0xFFFF_FFFF
PORT_LAST = 0xFFFF
VCPU_LAST = 4095
"""Last valid MSR index, I/O port and vCPU number. KVM_MAX_VCPUS is 4096 (arch/x86/include/asm/kvm_host.h)."""


class Access(NamedTuple):
    """One guest access.

    kind: ``rdmsr``, ``wrmsr``, ``in`` or ``out``. address: MSR index 0..2^32-1 or start port 0..65535.
    width: bytes, 1, 2 or 4 for ports (start port .. start port+width-1 are touched), 8 for MSRs.
    value: what is written (EDX:EAX, or AL/AX/EAX cut to width); 0 for reads. cpl: 0..3.
    """

    kind: str
    address: int
    width: int = 8
    value: int = 0
    cpl: int = 0

    @property
    def column(self) -> int:
        """The column of this access; KeyError for a kind and width no instruction has."""
        return _COLUMN[self.kind, self.width]


_COLUMN = {
    ("rdmsr", 8): MSR_READ,
    ("wrmsr", 8): MSR_WRITE,
    ("in", 1): IN1,
    ("in", 2): IN2,
    ("in", 4): IN4,
    ("out", 1): OUT1,
    ("out", 2): OUT2,
    ("out", 4): OUT4,
}


def column_space(column: int) -> str:
    """``msr`` or ``io``."""
    return MSR if column <= MSR_WRITE else IO
