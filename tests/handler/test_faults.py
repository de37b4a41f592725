"""Every seeded fault can be put in, and is caught."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.handler.faults import FAULTS, main

FOLDER = Path(__file__).parents[2] / "templates" / "exit_handler"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.about)
def test_a_fault_can_be_put_into_the_code(fault) -> None:
    text = (FOLDER / fault.file).read_text(encoding="ascii")
    assert text.count(fault.old) == 1
    assert fault.new != fault.old


def test_there_are_at_least_sixty_faults_and_no_two_alike() -> None:
    assert len({(each.file, each.old, each.new) for each in FAULTS}) == len(FAULTS) >= 60


def test_the_documentation_says_how_many_faults_there_are() -> None:
    text = (FOLDER.parents[1] / "docs" / "handler.md").read_text(encoding="utf-8")
    assert f"puts {len(FAULTS)} faults into the C" in text
    assert f"`{len(FAULTS)} of {len(FAULTS)} faults caught`" in text


@pytest.mark.slow
def test_every_fault_is_caught() -> None:
    assert main(range(len(FAULTS))) == 0
