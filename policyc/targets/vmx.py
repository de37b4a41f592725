"""Target vmx: Intel VT-x MSR bitmap and I/O bitmaps. Intel SDM vol. 3C, "VM-Execution Control Fields"."""

from __future__ import annotations

from policyc.architecture.vmx import (
    HIGH_FIRST,
    IO_BITMAP_A,
    IO_BITMAP_B,
    IO_BITMAP_BYTES,
    LOW_FIRST,
    MSR_BITMAP,
    MSR_WINDOWS,
    PRIMARY_CONTROLS,
    USE_IO_BITMAPS,
    USE_MSR_BITMAPS,
)
from policyc.semantics.policy import DecisionMap, Policy
from policyc.targets.base import Image, Setting, Target
from policyc.targets.traps import Traps, bitmap
from policyc.targets.windows import past_last_port, without_bit
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import Intervals

_WINDOW_BITS = 0x2000
_PAGE = "physical address of {}: 4 KiB aligned, below 2^MAXPHYADDR"


class Vmx:
    """Images: msr.bin (4096 bytes: read-low, read-high, write-low, write-high) and io.bin (8192: A, then B)."""

    name = "vmx"
    msr_windows: Intervals = MSR_WINDOWS
    always_exits_past_last_port = True
    io_bitmap = True

    def problems(self, policy: Policy, maps: tuple[DecisionMap, ...]) -> tuple[Diagnostic, ...]:
        return (*without_bit(policy, maps, "VT-x", MSR_WINDOWS), *past_last_port(policy))

    def images(self, traps: Traps) -> tuple[Image, ...]:
        quarters = [
            bitmap(msrs, first, _WINDOW_BITS) for msrs in (traps.read, traps.write) for first in (LOW_FIRST, HIGH_FIRST)
        ]
        io = traps.ports.to_bytes(2 * IO_BITMAP_BYTES, "little")
        return Image("msr.bin", b"".join(quarters)), Image("io.bin", io)

    def settings(self) -> tuple[Setting, ...]:
        return (
            Setting(
                "Primary processor-based VM-execution controls",
                f"bit {USE_IO_BITMAPS} (use I/O bitmaps) = 1 and bit {USE_MSR_BITMAPS} (use MSR bitmaps) = 1",
                PRIMARY_CONTROLS,
            ),
            Setting("Address of I/O bitmap A", _PAGE.format("io.bin bytes 0..4095"), IO_BITMAP_A),
            Setting("Address of I/O bitmap B", _PAGE.format("io.bin bytes 4096..8191"), IO_BITMAP_B),
            Setting("Address of MSR bitmaps", _PAGE.format("msr.bin"), MSR_BITMAP),
        )


TARGET: Target = Vmx()
