"""Which policies an open file belongs to, while imports come and go in the editor and on the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lsp.editor import Editor

HEAD = "language 1\ntarget vmx\ndefault exit\n"
IMPORT = 'import "part.pol" as part\n'
WRONG = "let msr A = 0x10g\n"


@pytest.fixture
def editor(tmp_path: Path) -> Iterator[Editor]:
    with Editor(tmp_path) as found:
        yield found
    assert found.status == 0
    assert not found.messages


def settled(editor: Editor, name: str, codes: list[str]) -> None:
    """What is published of a file in the end, all answers before having arrived: a request behind them was answered."""
    editor.run(asyncio.sleep(0.05))
    editor.outline(name)
    editor.run(asyncio.sleep(0.05))
    assert editor.last(name) == codes


def test_a_file_that_is_imported_later_is_told_of_by_its_importer_alone(editor: Editor) -> None:
    editor.write("part.pol", WRONG)
    editor.open("part.pol")
    editor.open("main.pol", HEAD)
    assert editor.codes("part.pol") == ["E011"]
    assert editor.codes("main.pol") == []
    editor.replace("main.pol", (3, 0), (3, 0), IMPORT)
    editor.codes("main.pol")
    editor.replace("part.pol", (0, 16), (0, 17), "0")
    editor.codes("part.pol")
    settled(editor, "part.pol", [])


def test_a_file_that_is_not_imported_any_more_is_told_of_as_a_policy_of_its_own(editor: Editor) -> None:
    editor.write("part.pol", WRONG)
    editor.open("main.pol", HEAD + IMPORT)
    editor.codes("main.pol")
    editor.open("part.pol")
    assert editor.codes("part.pol") == ["E011"]
    editor.replace("main.pol", (3, 0), (4, 0), "")
    assert editor.codes("main.pol") == []
    settled(editor, "part.pol", ["E011"])


@pytest.mark.parametrize("told", [True, False], ids=["the editor says so", "nobody says so"])
@pytest.mark.parametrize("left", [None, HEAD], ids=["importer deleted", "import deleted"])
def test_a_file_whose_importer_changes_on_the_disk_is_still_told_of(
    editor: Editor, left: str | None, told: bool
) -> None:
    editor.write("main.pol", HEAD + IMPORT)
    editor.write("part.pol", "let msr A = 0x10\n")
    editor.told_of("main.pol")
    editor.open("part.pol")
    assert editor.codes("part.pol") == []
    if left is None:
        (editor.folder / "main.pol").unlink()
    else:
        editor.write("main.pol", left)
    if told:
        editor.told_of("main.pol")
    editor.replace("part.pol", (0, 16), (0, 16), "g")
    editor.codes("part.pol")
    settled(editor, "part.pol", ["E011"])


def test_a_cycle_is_mended_in_both_its_files(editor: Editor) -> None:
    for name, other in (("a.pol", "b.pol"), ("b.pol", "a.pol")):
        editor.write(name, f'let msr A = 1\nimport "{other}"\n')
    editor.told_of("a.pol")
    editor.open("a.pol")
    editor.open("b.pol")
    for name in ("a.pol", "b.pol"):  # Each is a policy whose other file closes the cycle.
        assert editor.until(name, bool)[-1].code == "E042"
    editor.replace("a.pol", (1, 0), (2, 0), "")
    editor.codes("a.pol")
    settled(editor, "a.pol", [])
    settled(editor, "b.pol", [])


def test_what_a_closed_file_would_have_imported_does_not_count(editor: Editor) -> None:
    editor.write("main.pol", HEAD)
    editor.write("part.pol", WRONG)
    editor.open("main.pol", HEAD + IMPORT)
    editor.codes("main.pol")
    editor.open("part.pol")
    assert editor.codes("part.pol") == ["E011"]
    editor.close("main.pol")
    settled(editor, "part.pol", ["E011"])
    editor.replace("part.pol", (0, 16), (0, 17), "0")
    editor.codes("part.pol")
    settled(editor, "part.pol", [])


def test_a_question_right_behind_a_keystroke_is_answered_about_the_new_text(editor: Editor) -> None:
    editor.write("part.pol", "let msr A = 0x10\n")
    editor.open("main.pol", HEAD + IMPORT + "intercept msr part.A\n")
    assert editor.codes("main.pol") == []
    editor.open("part.pol")
    assert editor.codes("part.pol") == []
    for count in range(1, 6):
        uri = editor.uri("part.pol")
        editor.replace("part.pol", (0, 0), (0, 0), "# more\n")
        editor.texts[uri] = "# more\n" + editor.texts[uri]
        assert editor.renamed("part.pol", count, 8, "B")["part.pol"] == "# more\n" * count + "let msr B = 0x10\n"
