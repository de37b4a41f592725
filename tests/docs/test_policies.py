"""Every ```policy block of the documentation compiles, or gives exactly the errors that its first line names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from policyc.pipeline import compile_policy
from policyc.vocabulary.diagnostic import ERROR, PolicyError

ROOT = Path(__file__).parents[2]
RULES = ROOT / "docs" / "rules"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
PAGES = [page for page in PAGES if page.parent != RULES]  # tests/lint holds the policies of those pages.


class Block(NamedTuple):
    page: str
    line: int
    codes: tuple[str, ...]
    text: str


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```policy\b(.*)\n((?:.*\n)*?)```$", text, re.MULTILINE):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(page.name, line, tuple(match.group(1).split()), match.group(2)))
    return found


BLOCKS = blocks()


def errors(block: Block, folder: Path) -> list[str]:
    file = folder / "vm.pol"
    file.write_text(block.text, encoding="utf-8")
    try:
        compile_policy(str(file))
    except PolicyError as reason:
        return sorted({each.code for each in reason.diagnostics if each.severity == ERROR})
    return []


def test_the_language_reference_has_examples() -> None:
    assert sum(block.page == "language.md" for block in BLOCKS) > 30


@pytest.mark.parametrize("block", BLOCKS, ids=[f"{block.page}:{block.line}" for block in BLOCKS])
def test_a_policy_in_the_documentation_does_what_the_page_says(block: Block, tmp_path: Path) -> None:
    assert errors(block, tmp_path) == sorted(block.codes)
