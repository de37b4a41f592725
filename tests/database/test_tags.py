"""Tags say what lint and the manifest need: the registers that the catalogue of findings names have theirs."""

from __future__ import annotations

import pytest

from policyc.database.entry import MSR_TAGS
from policyc.database.names import load

DATABASE = load()


def row(first: int, last: int, step: int = 1) -> list[int]:
    return list(range(first, last + 1, step))


TAGGED = {
    # Touched at every context switch, interrupt or tick: what Xen, KVM and ACRN pass through (catalogue P301..P310).
    "hot": [
        0xC000_0100, 0xC000_0101, 0xC000_0102, 0x10, 0x808, 0x80B, 0x83F, 0x830, 0x48, 0x49, 0x10B, 0x6E0,
    ],
    # A guest that writes them changes or owns the host (catalogue S401, S403..S407, S411..S414, S425).
    "host-critical": [
        0x3A, 0x79, 0x1D9, 0x600, 0x560, 0x561, *row(0x570, 0x572), *row(0x580, 0x587), 0xC80, *row(0x200, 0x213),
        0x250, 0x258, 0x259, *row(0x268, 0x26F), 0x2FF, 0x1F2, 0x1F3, 0xC000_0080, 0x9B, 0x9E, 0x1B, 0x830, 0x17B,
        *row(0x400, 0x47F), 0x150, 0x199, 0x19A, 0x770, 0x772, 0x774, 0x610, 0x1C, *row(0x680, 0x69F), *row(0x6C0, 0x6DF),
    ],
    "memory-type": [*row(0x200, 0x213), 0x250, 0x258, 0x259, *row(0x268, 0x26F), 0x277, 0x2FF, 0x1F2, 0x1F3],
    "trace": [0x1D9, 0x600, 0x560, 0x561, *row(0x570, 0x572), *row(0x580, 0x587), 0xC80],
    "microcode": [0x79, 0x8B, 0xC001_0020],
    "smm": [0x9B, 0x9E, 0x1F2, 0x1F3, 0xC001_0111, 0xC001_0112, 0xC001_0113],
    "mce": [0x179, 0x17A, 0x17B, *row(0x400, 0x47F), *row(0x280, 0x29F)],
    "vmx": [*row(0x480, 0x493), 0x3A],
    "x2apic": [0x802, 0x803, 0x808, 0x80A, 0x80B, 0x80D, 0x80F, *row(0x810, 0x828), 0x82F, 0x830, *row(0x832, 0x839), 0x83E, 0x83F],
    # PLATYPUS, CVE-2020-8694 (catalogue S415)
    "side-channel": [0x611, 0x619, 0x639, 0x641, 0xC001_029A, 0xC001_029B],
    "identity": [0x4E, 0x4F, 0x17, 0x8B],
    "speculation": [0x48, 0x49, 0x10B, 0x122, 0x123],
    "cet": [0x6A0, 0x6A2, *row(0x6A4, 0x6A8)],
    "fred": row(0x1CC, 0x1D4),
    "syscall": [0x174, 0x175, 0x176, *row(0xC000_0081, 0xC000_0084)],
    # No VMCS field holds them: SDM vol. 3C, "Guest Register State" and "VM-Exit Controls" (catalogue S417)
    "switch": [*row(0xC000_0081, 0xC000_0084), 0xC000_0102, 0xC000_0103, 0x48, 0xDA0, *row(0x6A4, 0x6A7), 0x1C4],
    # SDM vol. 3C 25.4.1 and 25.7: state that VM entry loads or VM exit saves
    "vmcs-switched": [
        0x174, 0x175, 0x176, 0xC000_0100, 0xC000_0101, 0xC000_0080, 0x277, 0x1D9, 0x38F, 0xD90, 0x570, 0x14CE, 0x6E1,
        0x6A2, 0x6A8, *row(0x1CD, 0x1D4),
    ],
}  # fmt: skip


@pytest.mark.parametrize("tag", TAGGED)
def test_a_register_has_the_tag_that_its_findings_need(tag: str) -> None:
    assert [f"{index:#x}" for index in TAGGED[tag] if tag not in DATABASE.msr_tags(index)] == []


def test_what_the_vmcs_does_not_hold_is_not_called_switched_by_it() -> None:
    assert [f"{index:#x}" for index in TAGGED["switch"] if "vmcs-switched" in DATABASE.msr_tags(index)] == []


def test_an_ordinary_register_has_none_of_the_warning_tags() -> None:
    assert not DATABASE.msr_tags(0xC000_0103) & {"host-critical", "memory-type", "smm", "microcode", "side-channel"}
    assert not DATABASE.msr_tags(0x1234)


def test_every_tag_is_used() -> None:
    used = {tag for row in DATABASE._msr.rows for tag in row[8].split()}
    assert used == MSR_TAGS


def test_tagged_entries_come_in_the_order_of_their_numbers() -> None:
    found = list(DATABASE.msrs_tagged("switch"))
    numbers = [index for _, index, *_ in found]
    assert numbers == sorted(numbers)
    assert ("IA32_STAR", 0xC000_0081, 1, 1, "rw", "any", frozenset({"switch", "syscall"})) in found
    assert all("switch" in tags for *_, tags in found)


def test_read_only_registers_are_never_a_danger_to_write() -> None:
    """host-critical is about writes; a register that cannot be written is tagged so only where SMM alone writes it."""
    wrong = [row[0] for row in DATABASE._msr.rows if row[5] == "r" and "host-critical" in row[8].split()]
    assert wrong == ["IA32_SMBASE"]
