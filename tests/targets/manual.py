"""Whether an access exits, read from an image as the manuals say; and real intercept lists as policies.

Written from the Intel SDM, the AMD APM and Linux' kvm_msr_allowed() alone: shares nothing with the targets.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from policyc.semantics.policy import EXIT as _EXIT
from policyc.semantics.policy import Defaults, Policy
from tests.proof.build import PASS, TRAP, policy, rule

LISTS = Path(__file__).parent / "lists"


def vmx_msr(image: bytes, msr: int, write: bool) -> bool:
    """SDM vol. 3C, "MSR-Bitmap Address"."""
    if msr <= 0x1FFF:
        start = 2048 if write else 0
    elif 0xC0000000 <= msr <= 0xC0001FFF:
        start = 3072 if write else 1024
    else:
        return True
    number = msr & 0x1FFF
    return bool(image[start + number // 8] >> number % 8 & 1)


def vmx_io(image: bytes, port: int, width: int) -> bool:
    """SDM vol. 3C, "I/O-Bitmap Addresses" and "Instructions That Cause VM Exits Conditionally"."""
    if port + width > 0x10000:
        return True
    a, b = image[:4096], image[4096:]
    for each in range(port, port + width):
        page, number = (a, each) if each < 0x8000 else (b, each - 0x8000)
        if page[number // 8] & 1 << number % 8:
            return True
    return False


def svm_msr(image: bytes, msr: int, write: bool) -> bool:
    """APM vol. 2, 15.11."""
    for vector, first in enumerate((0, 0xC0000000, 0xC0010000)):
        if first <= msr <= first + 0x1FFF:
            number = (msr - first) * 2 + write
            return bool(image[0x800 * vector + number // 8] & 1 << number % 8)
    return True


def svm_io(image: bytes, port: int, width: int) -> bool:
    """APM vol. 2, 15.10: one map, no wrap; the bits past port 0xffff are read."""
    return any(image[each // 8] & 1 << each % 8 for each in range(port, port + width))


def kvm_msr(filter_: dict[str, Any], msr: int, write: bool) -> bool:
    """arch/x86/kvm/x86.c kvm_msr_allowed(), with its u32 arithmetic: whether the access is denied, and so exits."""
    if 0x800 <= msr <= 0x8FF:
        return False
    kind = 2 if write else 1
    for each in filter_["ranges"]:
        end = (each["base"] + each["nmsrs"]) & 0xFFFFFFFF
        if each["base"] <= msr < end and each["flags"] & kind:
            bits, index = bytes.fromhex(each["bitmap"]), msr - each["base"]
            return not bits[index // 8] & 1 << index % 8
    return filter_["flags"] == 1


def kvm_accepts(filter_: dict[str, Any]) -> None:
    """The checks of kvm_add_msr_filter() and kvm_vm_ioctl_set_msr_filter()."""
    assert filter_["flags"] in (0, 1)
    assert len(filter_["ranges"]) <= 16
    for each in filter_["ranges"]:
        assert each["flags"] in (1, 2, 3)
        assert 1 <= each["nmsrs"] <= 0x600 * 8
        assert len(bytes.fromhex(each["bitmap"])) == (each["nmsrs"] + 63) // 64 * 8
    assert filter_["ranges"] or filter_["flags"] == 0


def real(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((LISTS / f"{name}.json").read_text())
    return found


def as_policy(data: dict[str, Any]) -> Policy:
    """One rule for every entry and direction that differs from the default."""
    rules = []
    deny = data["default"] == "deny"
    for lo, hi, trapped in data["msr"]:
        where = (int(lo, 16), int(hi, 16))
        for letter, column in (("r", 1), ("w", 2)):
            if (letter in trapped) != deny:
                rules.append(rule("msr", where, verb="allow" if deny else "intercept", columns=column))
    for lo, hi, trapped in data["io"]:
        rules.append(rule("io", (int(lo, 16), int(hi, 16)), verb="intercept" if trapped else "allow"))
    ports = TRAP if data["io_default"] == "deny" else PASS
    return policy(*rules, defaults=Defaults(TRAP if deny else PASS, ports, _EXIT, None))
