"""The search finds first what was meant."""

from __future__ import annotations

import pytest

from policyc.database.names import load
from tests.growth import seconds

DATABASE = load()


def names(query: str) -> list[str]:
    return [hit.entry.name for hit in DATABASE.search_msr(query)]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("IA32_EFER", "IA32_EFER"),
        ("efer", "IA32_EFER"),
        ("MSR_SYSCALL_MASK", "IA32_FMASK"),
        ("0xc0000080", "IA32_EFER"),
        ("C0000080", "IA32_EFER"),
        ("3221225600", "IA32_EFER"),
        ("debugctl", "IA32_DEBUGCTL"),
        ("0x206", "IA32_MTRR_PHYSBASE"),
        ("IA32_MC5_STATUS", "IA32_MC_STATUS"),
        ("ia32_mtrr_physbase[3]", "IA32_MTRR_PHYSBASE"),
        ("fs base", "IA32_FS_BASE"),
        ("microcode", "IA32_BIOS_UPDT_TRIG"),
        ("launch enclaves", "IA32_SGXLEPUBKEYHASH"),
    ],
)
def test_the_best_hit_is_the_one_meant(query: str, first: str) -> None:
    assert names(query)[0] == first


def test_bare_digits_may_be_decimal_or_hexadecimal_and_decimal_comes_first() -> None:
    # 10 is no MSR, 0x10 the time-stamp counter; 16 is 0x10, and 0x16 is none
    assert names("10")[0] == "IA32_TSC"
    assert names("16")[0] == "IA32_TSC"


def test_a_member_is_told_with_its_own_number() -> None:
    hit = DATABASE.search_msr("IA32_MC5_STATUS")[0]
    assert hit.address == 0x415


def test_a_fragment_finds_every_name_that_has_it() -> None:
    found = names("sysenter")
    assert found[:3] == ["IA32_SYSENTER_CS", "IA32_SYSENTER_ESP", "IA32_SYSENTER_EIP"]


def test_a_tag_finds_its_registers() -> None:
    assert {"IA32_FS_BASE", "IA32_GS_BASE", "IA32_KERNEL_GS_BASE"} <= set(names("segment-base"))


@pytest.mark.parametrize("query", ["", " ", "zzzz", "x" * 10_000, "0xfffffffffffffffff", "\0", "()[", "٣"])
def test_nonsense_finds_nothing(query: str) -> None:
    assert names(query) == []
    assert DATABASE.search_port(query) == []


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("IA32_EFFER", "IA32_EFER"),
        ("IA32_SYSCALL_MSK", "IA32_SYSCALL_MASK"),
        ("MTRR_PHYSBAS3", "MTRR_PHYSBASE3"),
        ("IA32_PLATFORM_INF", "IA32_PLATFORM_INFO"),
        ("KERNEL_GSBASE", "KERNEL_GS_BASE"),
    ],
)
def test_a_misspelling_leads_to_the_nearest_name(misspelt: str, meant: str) -> None:
    assert meant in [name for name, _ in DATABASE.suggest_msr(misspelt)]


def test_thousands_of_misspelt_names_do_not_cost_a_search_each() -> None:
    def search() -> None:
        database = load()
        for number in range(5_000):
            database.suggest_msr(f"NO_SUCH_REGISTER_{number}")

    assert seconds(search, 15) < 15
