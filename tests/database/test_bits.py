"""The bits of registers: known registers, bits that exist and do not overlap, and the numbers that Linux has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policyc.database.bits import layout, names
from policyc.database.names import load
from tests.database.test_header import HEADERS, HOW
from tests.demand import need

PREFIXES = {
    "IA32_EFER": "_EFER_",
    "IA32_DEBUGCTL": "DEBUGCTLMSR_",
    "IA32_SPEC_CTRL": "SPEC_CTRL_",
    "IA32_MISC_ENABLE": "MSR_IA32_MISC_ENABLE_",
    "IA32_FEATURE_CONTROL": "FEAT_CTL_",
    "IA32_PRED_CMD": "PRED_CMD_",
    "IA32_TSX_CTRL": "TSX_CTRL_",
    "IA32_FLUSH_CMD": "",
}
"""How Linux begins the names of a register's bits."""
OTHERWISE = {
    "LOCKED": "LOCK",
    "VMX_ENABLED_INSIDE_SMX": "VMX_IN_SMX",
    "VMX_ENABLED_OUTSIDE_SMX": "VMX_OUTSIDE_SMX",
    "SGX_LC_ENABLED": "SGX_LC",
    "SGX_ENABLED": "SGX",
    "LMCE_ENABLED": "LMCE",
    "CPUID_CLEAR": "TSX_CPUID_CLEAR",
}
"""Linux's name of a bit, and ours."""


@pytest.mark.parametrize("name", names())
def test_fields_stand_in_order_inside_a_register_of_the_database(name: str) -> None:
    found = layout(name)
    assert found is not None
    database = load()
    msr = database.canonical("msr", name) == name
    assert msr or database.canonical("io", name) == name
    last = 63 if msr else 31 if name == "PCI_CONFIG_ADDRESS" else 7
    edges = [edge for field in found.fields for edge in (field.lo, field.hi)]
    assert edges == sorted(edges)
    assert all(one.hi < other.lo for one, other in zip(found.fields, found.fields[1:], strict=False))
    assert 0 <= edges[0] <= edges[-1] <= last
    assert all(field.about and len(field.about) < 80 and field.name.isupper() for field in found.fields)


def test_single_bits_are_where_linux_has_them() -> None:
    need("headers", bool(HEADERS), HOW)
    text = Path(HEADERS[-1]).read_text()
    compared = 0
    for name, prefix in PREFIXES.items():
        theirs: dict[str, int] = {}
        for word, value in re.findall(rf"^#define\s+{prefix}(\w+?)(?:_SHIFT|_BIT)?\s+(\S.*)$", text, re.MULTILINE):
            number = re.match(r"(?:BIT\()?(\d+)\)?(?:\s|$)|\(1ULL? ?<< +(\d+)\)|\(1UL << +(\d+)\)", value)
            if number is not None:
                theirs.setdefault(OTHERWISE.get(word, word), int(next(each for each in number.groups() if each)))
        found = layout(name)
        assert found is not None
        for field in found.fields:
            if field.name in theirs and field.lo == field.hi:
                compared += 1
                assert theirs[field.name] == field.lo, f"{name}.{field.name}"
    assert compared >= 40
