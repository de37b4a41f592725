"""Target svm: AMD SVM MSR and I/O permission maps. AMD APM vol. 2, sections 15.10 and 15.11.

What the processor does not read still has a value here, so that images are equal byte for byte:

* MSRPM bytes 6144..8191 are 0xff, as in KVM and Xen: should a later processor give them a meaning, it traps.
* IOPM bits 65536..65538 serve wide accesses that start at 0xfffd..0xffff and run past the last port. They are set, so
  that such an access always exits, as it does on VT-x. The bits after them hold the default for ports: ones under
  ``default io exit`` (the whole map that KVM, Xen and bhyve fill with 0xff), else zeros.
"""

from __future__ import annotations

from policyc.architecture.svm import (
    IOIO_PROT,
    IOPM_BITS,
    IOPM_BYTES,
    MSR_PROT,
    MSR_WINDOWS,
    MSRPM_RESERVED,
    VMCB_INTERCEPT_MISC1,
    VMCB_IOPM_BASE_PA,
    VMCB_MSRPM_BASE_PA,
)
from policyc.semantics.policy import DecisionMap, Policy
from policyc.targets.base import Image, Setting, Target
from policyc.targets.traps import Traps, bitmap
from policyc.targets.windows import past_last_port, without_bit
from policyc.vocabulary.access import PORT_LAST
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import Intervals

_WINDOW_BITS = 0x2000
_SPREAD = tuple(sum((nibble >> bit & 1) << 2 * bit for bit in range(4)) for nibble in range(16))
_EVEN_BYTES = bytes(_SPREAD[byte & 0xF] for byte in range(256))
_ODD_BYTES = bytes(_SPREAD[byte >> 4] for byte in range(256))
"""For bytes.translate: the lower and the upper four bits of a byte, each moved to an even place."""
_PAGES = "physical address of {}: 4 KiB aligned, all of it below 2^MAXPHYADDR"


class Svm:
    """Images: msrpm.bin (8192 bytes, even bit read, odd bit write) and iopm.bin (12288)."""

    name = "svm"
    msr_windows: Intervals = MSR_WINDOWS
    always_exits_past_last_port = True
    io_bitmap = True

    def problems(self, policy: Policy, maps: tuple[DecisionMap, ...]) -> tuple[Diagnostic, ...]:
        return (*without_bit(policy, maps, "AMD SVM", MSR_WINDOWS), *past_last_port(policy))

    def images(self, traps: Traps) -> tuple[Image, ...]:
        vectors = [
            _pairs(bitmap(traps.read, first, _WINDOW_BITS), bitmap(traps.write, first, _WINDOW_BITS))
            for first, _ in MSR_WINDOWS
        ]
        reserved = b"\xff" * (MSRPM_RESERVED[1] - MSRPM_RESERVED[0] + 1)
        end = IOPM_BYTES * 8 if traps.other_ports else IOPM_BITS
        past = (1 << end) - (1 << PORT_LAST + 1)
        io = (traps.ports | past).to_bytes(IOPM_BYTES, "little")
        return Image("msrpm.bin", b"".join((*vectors, reserved))), Image("iopm.bin", io)

    def settings(self) -> tuple[Setting, ...]:
        return (
            Setting(
                "VMCB intercept vector 3",
                f"bit {IOIO_PROT} (IOIO_PROT) = 1 and bit {MSR_PROT} (MSR_PROT) = 1",
                VMCB_INTERCEPT_MISC1,
            ),
            Setting("VMCB IOPM_BASE_PA", _PAGES.format("iopm.bin (3 pages)"), VMCB_IOPM_BASE_PA),
            Setting("VMCB MSRPM_BASE_PA", _PAGES.format("msrpm.bin (2 pages)"), VMCB_MSRPM_BASE_PA),
        )


def _pairs(read: bytearray, write: bytearray) -> bytes:
    """Two maps of one bit an MSR as one map of two: bit 2i from read, bit 2i + 1 from write."""
    both = int.from_bytes(_spread(read), "little") | int.from_bytes(_spread(write), "little") << 1
    return both.to_bytes(2 * len(read), "little")


def _spread(bits: bytearray) -> bytearray:
    """Every bit i moved to bit 2i."""
    out = bytearray(2 * len(bits))
    out[0::2] = bits.translate(_EVEN_BYTES)
    out[1::2] = bits.translate(_ODD_BYTES)
    return out


TARGET: Target = Svm()
