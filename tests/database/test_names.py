"""The database answers what the resolver asks: names, families, members, and the way back from numbers."""

from __future__ import annotations

import pytest

from policyc.database.names import load
from policyc.vocabulary.intervals import size

DATABASE = load()

SPELLINGS = [
    # the names of docs/language.md, of Linux, of x86_vcpu and without prefix; numbers from SDM vol. 4 table 2-2
    ("IA32_EFER", 0xC000_0080), ("MSR_EFER", 0xC000_0080), ("EFER", 0xC000_0080),
    ("IA32_STAR", 0xC000_0081), ("IA32_LSTAR", 0xC000_0082), ("IA32_CSTAR", 0xC000_0083), ("IA32_FMASK", 0xC000_0084),
    ("MSR_SYSCALL_MASK", 0xC000_0084), ("IA32_FS_BASE", 0xC000_0100), ("FS_BASE", 0xC000_0100),
    ("IA32_GS_BASE", 0xC000_0101), ("IA32_KERNEL_GS_BASE", 0xC000_0102), ("IA32_TSC_AUX", 0xC000_0103),
    ("IA32_MISC_ENABLE", 0x1A0), ("IA32_DEBUGCTL", 0x1D9), ("MSR_IA32_DEBUGCTLMSR", 0x1D9), ("IA32_SPEC_CTRL", 0x48),
    ("IA32_FEATURE_CONTROL", 0x3A), ("IA32_APIC_BASE", 0x1B), ("IA32_BIOS_UPDT_TRIG", 0x79), ("IA32_PAT", 0x277),
    ("IA32_TSC_DEADLINE", 0x6E0), ("IA32_X2APIC_ICR", 0x830), ("IA32_XSS", 0xDA0), ("IA32_VMX_BASIC", 0x480),
]  # fmt: skip


@pytest.mark.parametrize(("name", "index"), SPELLINGS)
def test_a_register_has_its_number_under_every_usual_spelling(name: str, index: int) -> None:
    assert DATABASE.msr(name) == ((index, index),)


def test_names_are_case_sensitive() -> None:
    assert DATABASE.msr("ia32_efer") is None


def test_a_family_is_all_its_members_and_each_of_them() -> None:
    base = DATABASE.msr("IA32_MTRR_PHYSBASE")
    assert base == tuple((each, each) for each in range(0x200, 0x214, 2))
    assert DATABASE.msr_family("IA32_MTRR_PHYSBASE") == 10
    assert DATABASE.msr_member("IA32_MTRR_PHYSBASE", 3) == 0x206
    assert DATABASE.msr_member("IA32_MTRR_PHYSBASE", 10) is None
    assert DATABASE.msr("IA32_MTRR_PHYSBASE3") == ((0x206, 0x206),)
    assert DATABASE.msr_name(0x206) == "IA32_MTRR_PHYSBASE[3]"


def test_the_number_of_a_member_may_stand_inside_its_name() -> None:
    assert DATABASE.msr("IA32_MC5_CTL") == ((0x414, 0x414),)
    assert DATABASE.msr_family("IA32_MC5_CTL") is None


@pytest.mark.parametrize(
    "name", ["IA32_MC05_CTL", "IA32_MC32_CTL", "IA32_MC{}_CTL", "IA32_MC_CTL[0]", "IA32_MC99999_CTL", ""]
)
def test_what_is_no_member_has_no_number(name: str) -> None:
    assert DATABASE.msr(name) is None


def test_a_single_register_is_no_family() -> None:
    assert DATABASE.msr_family("IA32_EFER") is None
    assert DATABASE.msr_member("IA32_EFER", 0) is None


def test_the_write_only_commands_are_unreadable_and_others_are_not() -> None:
    # SDM vol. 4 table 2-2 marks these W or WO
    assert all(DATABASE.msr_unreadable(index) for index in (0x49, 0x10B, 0x79, 0x80B, 0x83F))
    assert not any(DATABASE.msr_unreadable(index) for index in (0x10, 0x48, 0x1B, 0xC000_0080, 0x7FFF_FFFF))


def test_a_misspelt_name_gets_the_nearest() -> None:
    assert DATABASE.suggest_msr("IA32_EFFER")[0] == ("IA32_EFER", 0xC000_0080)
    assert DATABASE.suggest_msr("ia32_lstar")[0] == ("IA32_LSTAR", 0xC000_0082)
    assert DATABASE.suggest_msr("QUITE_ANOTHER_THING_ALTOGETHER") == []


def test_every_set_of_addresses_is_in_normal_form() -> None:
    for row in DATABASE._msr.rows:
        found = DATABASE.msr(row[0])
        assert found is not None
        assert size(found) == row[3]
        assert list(found) == sorted(found)
