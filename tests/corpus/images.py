"""The images of a real list, built from its entries by the manuals' formulas and by nothing of policyc."""

from __future__ import annotations

from tests.corpus.lists import RealList

_VMX = ((0, 0x1FFF, 0), (0xC0000000, 0xC0001FFF, 1024))
"""First and last MSR of each window, and the byte at which its read bits begin; those for writes 2048 on."""
_SVM = ((0, 0x1FFF, 0), (0xC0000000, 0xC0001FFF, 2048), (0xC0010000, 0xC0011FFF, 4096))


def images(each: RealList) -> dict[str, bytes]:
    """Those that the list says something of; none for a KVM filter."""
    made = {
        "vmx_msr_bitmap": ("msr.bin", _msr_bitmap),
        "vmx_io_bitmap": ("io.bin", lambda one: _ports(one, 8192)),
        "svm_msrpm": ("msrpm.bin", _msrpm),
        "svm_iopm": ("iopm.bin", lambda one: _ports(one, 12288)),
    }
    return {made[form][0]: made[form][1](each) for form in each.expected if form in made}


def _set(data: bytearray, bit: int, value: bool) -> None:
    data[bit // 8] = data[bit // 8] & ~(1 << bit % 8) | value << bit % 8


def _msr_bitmap(each: RealList) -> bytes:
    data = bytearray(bytes([255 * each.default_exits]) * 4096)
    for lo, hi, exits in each.msr:
        for first, last, start in _VMX:
            for msr in range(max(lo, first), min(hi, last) + 1):
                for letter, half in (("r", 0), ("w", 2048)):
                    _set(data, (start + half) * 8 + msr - first, letter in exits)
    return bytes(data)


def _msrpm(each: RealList) -> bytes:
    data = bytearray(bytes([255 * each.default_exits]) * 6144 + b"\xff" * 2048)
    for lo, hi, exits in each.msr:
        for first, last, start in _SVM:
            for msr in range(max(lo, first), min(hi, last) + 1):
                for letter, odd in (("r", 0), ("w", 1)):
                    _set(data, start * 8 + 2 * (msr - first) + odd, letter in exits)
    return bytes(data)


def _ports(each: RealList, size: int) -> bytes:
    data = bytearray(bytes([255 * bool(each.io_default_exits)]) * size)
    for lo, hi, exits in each.io:
        for port in range(lo, hi + 1):
            _set(data, port, bool(exits))
    if size > 8192:  # Bits 65536..65538 serve accesses past the last port, which always exit.
        data[8192] |= 7
    return bytes(data)
