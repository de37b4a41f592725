"""The examples of docs/targets.md give the findings that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.targets.source import problems

PAGE = Path(__file__).parents[2] / "docs" / "targets.md"
EXAMPLES = re.findall(r"```pol\n# (\w+): ([^\n]*)\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_page_has_its_examples() -> None:
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize(("name", "codes", "text"), EXAMPLES, ids=[f"{name} {codes}" for name, codes, _ in EXAMPLES])
def test_an_example_gives_what_the_page_says(name, codes, text) -> None:
    assert [each.code for each in problems(name, text)] == codes.split(", ")
