"""The committed modules are what the YAML gives, and the YAML is good."""

from __future__ import annotations

from pathlib import Path

from policyc.database import generate

FOUND = generate.read(generate.sources())
HERE = Path(generate.HERE)


def test_the_index_is_not_stale() -> None:
    again = "run: python -m policyc.database.generate"
    assert (HERE / "_index.py").read_text(encoding="utf-8") == generate.index(FOUND), again
    assert (HERE / "_texts.py").read_text(encoding="utf-8") == generate.texts(FOUND), again


def test_at_least_six_hundred_msrs_are_known() -> None:
    numbers = {
        number for entry in FOUND if entry.space == "msr" for lo, hi in entry.ranges for number in range(lo, hi + 1)
    }
    assert len(numbers) >= 600
