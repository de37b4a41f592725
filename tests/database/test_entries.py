"""Every entry is worth reading: one sentence in words of its own, a source, names that can be told apart."""

from __future__ import annotations

import re

import pytest

from policyc.database import generate
from policyc.database.entry import Entry
from policyc.database.names import load

MSRS = [each for each in generate.read(generate.sources()) if each.space == "msr"]


@pytest.mark.parametrize("entry", MSRS, ids=lambda entry: f"{entry.name}")
def test_an_entry_says_in_a_sentence_what_the_register_is(entry: Entry) -> None:
    assert re.fullmatch(r"[A-Z][^\n]{8,}\.", entry.about), entry.about
    assert entry.name not in entry.about.split()
    assert len(entry.source) >= 8


def test_all_names_resolve_to_their_entry_and_back() -> None:
    database = load()
    for entry in MSRS:
        for name in entry.names():
            found = database.msr(name)
            assert found is not None, name
            assert any(lo <= found[0][0] <= hi for lo, hi in entry.ranges), name
        for lo, hi in entry.ranges:
            for index in {lo, hi}:
                assert entry in database.msr_entries(index)


def test_no_two_entries_say_the_same_of_different_vendors_registers() -> None:
    """The vendor tells which processors have it: a name with AMD or K8 in it is not Intel's."""
    wrong = [each.name for each in MSRS if re.match(r"(AMD|K[678]|SMCA)_", each.name) and each.vendor != "amd"]
    assert wrong == []


def test_a_command_register_is_write_only_and_says_so() -> None:
    for entry in MSRS:
        if entry.access == "w" and entry.about.startswith("Write-only"):
            assert load().msr_unreadable(entry.lo)


def test_the_whole_database_has_the_advertised_size() -> None:
    numbers = {number for each in MSRS for lo, hi in each.ranges for number in range(lo, hi + 1)}
    assert len(MSRS) >= 600
    assert len(numbers) >= 2000
