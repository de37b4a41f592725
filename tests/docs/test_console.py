"""Every command that a page shows runs, ends as the page says, and prints what the page shows (console.py says how)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.docs import console
from tests.docs.test_policies import PAGES

WITH_COMMANDS = [page for page in PAGES if "```console" in page.read_text(encoding="utf-8")]
UPDATE = os.environ.get("POLICYC_UPDATE", "") not in ("", "0")


def test_the_readme_and_the_reference_show_commands() -> None:
    assert {"README.md", "commands.md", "ir.md"} <= {page.name for page in WITH_COMMANDS}


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.name)
def test_the_commands_of_a_page_do_what_it_shows(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    folder = tmp_path / "page"
    folder.mkdir()
    around = console.environment(tmp_path)
    wrong: list[str] = []
    edits: list[tuple[int, int, str]] = []
    for step in console.steps(text):
        if isinstance(step, console.File):
            (folder / step.name).write_text(step.text, encoding="utf-8")
            continue
        status, printed = console.run(step.words, folder, around)
        where = f"{page.name}:{step.line}: $ {step.words}"
        if status != step.status:
            wrong.append("\n".join([f"{where}\nexits with {status}, not {step.status}:", *printed]))
        elif step.shown and not console.fits(step.shown, printed):
            wrong.append("\n".join([f"{where}\nprints", *printed, "and not", *step.shown]))
            if console.WILD not in step.shown:
                edits.append((step.start, step.end, "".join(f"{line}\n" for line in printed)))
    if UPDATE:
        for start, end, new in reversed(edits):
            text = text[:start] + new + text[end:]
        page.write_text(text, encoding="utf-8")
    assert wrong == [], "\n\n".join(["", *wrong])


def test_a_wildcard_stands_for_any_number_of_lines() -> None:
    assert console.fits(("a", "...", "d"), ["a", "b", "c", "d"])
    assert console.fits(("a", "...", "d"), ["a", "d"])
    assert console.fits(("...",), [])
    assert not console.fits(("a", "..."), ["b"])
    assert not console.fits(("a", "...", "d"), ["a", "b"])
    assert not console.fits(("a.c",), ["abc"])


def test_a_page_is_read_as_the_convention_says(tmp_path: Path) -> None:
    page = (
        "Write `vm.pol`:\n\n```policy\nlanguage 1\n```\n\nThen\n\n"
        "```console\n$ true\n$ echo a; false # exits with 1\na\n```\n\n```policy\nlanguage 2\n```\n"
    )
    file, first, second = console.steps(page)
    assert file == console.File("vm.pol", "language 1\n")
    assert isinstance(first, console.Command)
    assert isinstance(second, console.Command)
    assert (first.line, first.words, first.status, first.shown) == (10, "true", 0, ())
    assert (second.line, second.status, second.shown, page[second.start : second.end]) == (11, 1, ("a",), "a\n")
    assert console.run(second.words, tmp_path, console.environment(tmp_path)) == (1, ["a"])
