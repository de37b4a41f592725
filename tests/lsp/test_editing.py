"""Navigation, completion, renaming and fixes, as an editor asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from policyc.resources import folder
from policyc.vocabulary.actions import ACTION_WORDS
from tests.lsp.editor import Editor

HEAD = "language 1\ntarget vmx\ndefault exit\n"
PARTS = "## The console.\nlet io UART = { 0x3f8 len 8 }\nlet io BOTH = { UART, 0x2f8 len 8 }\n"
MAIN = (
    HEAD
    + 'import "parts.pol" as parts\n'
    + 'import "std/serial.pol" as serial\n'
    + "let const MASK = 0x400\n"
    + "uart: intercept io parts.UART out -> log, forward(uart_io)\n"
    + "allow io { parts.BOTH } in\n"
    + "intercept msr IA32_EFER write -> mask(and=~MASK)\n"
    + "profile run {\n    allow io serial.COM4\n}\n"
    + "profile late extends run {\n    allow io 0x80\n}\n"
    + 'test "one" {\n    in 0x80 profile late => passthrough\n}\n'
)


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    with Editor(tmp_path_factory.mktemp("work")) as found:
        found.write("parts.pol", PARTS)
        found.write("other.pol", HEAD + 'import "parts.pol"\nintercept io parts.UART in -> kill\n')
        found.write("main.pol", MAIN)
        for name in ("parts.pol", "other.pol", "main.pol"):
            found.open(name)
            assert found.codes(name) == []
        yield found


def line(text: str, words: str, after: str = "") -> tuple[int, int]:
    """Line and column of words in a text, behind the first place of others."""
    at = text.index(words, text.index(after))
    return text.count("\n", 0, at), at - (text.rfind("\n", 0, at) + 1)


def test_definition_leads_into_the_imported_file(editor: Editor) -> None:
    row, column = line(MAIN, "UART")
    found = editor.definition("main.pol", row, column + 2)
    assert found == types.Location(editor.uri("parts.pol"), types.Range(types.Position(1, 7), types.Position(1, 11)))


def test_definition_leads_into_the_modules_that_come_with_policyc(editor: Editor) -> None:
    found = editor.definition("main.pol", *line(MAIN, "COM4"))
    assert found is not None
    assert found.uri == (Path(folder("std")) / "serial.pol").as_uri()
    written = (Path(folder("std")) / "serial.pol").read_text().splitlines()[found.range.start.line]
    assert written[found.range.start.character : found.range.end.character] == "COM4"


def test_definition_of_a_module_is_the_file(editor: Editor) -> None:
    for place in (line(MAIN, "parts.pol"), line(MAIN, "parts.BOTH")):
        found = editor.definition("main.pol", *place)
        assert found is not None
        assert (found.uri, found.range.start) == (editor.uri("parts.pol"), types.Position(0, 0))


def test_definition_works_in_a_statement_that_is_not_finished(editor: Editor) -> None:
    editor.open("half.pol", HEAD + "let io A = 0x60\nintercept io A ->\n")
    assert editor.codes("half.pol") == ["E001"]
    found = editor.definition("half.pol", 4, 13)
    assert found is not None
    assert found.range.start == types.Position(3, 7)


def test_references_are_found_in_every_policy_that_imports_the_file(editor: Editor) -> None:
    assert sorted(editor.references("parts.pol", 1, 8)) == [
        ("main.pol", *line(MAIN, "UART")),
        ("other.pol", 4, 19),
        ("parts.pol", 1, 7),
        ("parts.pol", 2, 16),
    ]


def test_references_of_a_profile_a_constant_and_a_label(editor: Editor) -> None:
    assert [each[1] for each in editor.references("main.pol", *line(MAIN, "late"))] == [12, 16]
    assert [each[1] for each in editor.references("main.pol", *line(MAIN, "MASK"))] == [5, 8]
    assert [each[1] for each in editor.references("main.pol", *line(MAIN, "uart:"))] == [6]


def test_a_set_is_renamed_in_all_files(editor: Editor) -> None:
    texts = editor.renamed("main.pol", *line(MAIN, "UART"), "CONSOLE")
    assert texts == {
        "parts.pol": PARTS.replace("UART", "CONSOLE"),
        "other.pol": HEAD + 'import "parts.pol"\nintercept io parts.CONSOLE in -> kill\n',
        "main.pol": MAIN.replace("UART", "CONSOLE"),
    }


def test_a_file_that_is_not_open_is_renamed_too(editor: Editor) -> None:
    editor.write("sub.pol", PARTS)
    editor.write("far.pol", HEAD + 'import "sub.pol" as p\nallow io p.UART\n')
    editor.open("sub.pol")
    editor.told_of("far.pol")
    editor.diagnostics("sub.pol")
    which, place = editor.at("sub.pol", 1, 8)
    edit = editor.run(editor.client.text_document_rename_async(types.RenameParams(which, place, "CONSOLE")))
    assert edit is not None
    changed = {
        each.text_document.uri: (each.text_document.version, len(each.edits))
        for each in edit.document_changes or ()
        if isinstance(each, types.TextDocumentEdit)
    }
    assert changed == {editor.uri("sub.pol"): (1, 2), editor.uri("far.pol"): (None, 1)}


def test_a_module_without_a_name_of_its_own_gets_one(editor: Editor) -> None:
    texts = editor.renamed("other.pol", 4, 14, "devices")
    assert texts["other.pol"] == HEAD + 'import "parts.pol" as devices\nintercept io devices.UART in -> kill\n'


@pytest.mark.parametrize(
    ("new", "why"),
    [
        ("BOTH", "does not compile: `BOTH` is defined twice"),
        ("PIC1", "is the name of an I/O port"),
        ("9lives", "is not a name"),
        ("", "is not a name"),
    ],
)
def test_a_name_that_would_change_the_policy_is_refused(editor: Editor, new: str, why: str) -> None:
    with pytest.raises(JsonRpcException, match=why):
        editor.renamed("parts.pol", 1, 8, new)


def test_a_reserved_word_is_put_in_backquotes(editor: Editor) -> None:
    assert "let io `rw` = { 0x3f8 len 8 }" in editor.renamed("parts.pol", 1, 8, "rw")["parts.pol"]


def test_names_of_bundled_modules_cannot_be_changed(editor: Editor) -> None:
    with pytest.raises(JsonRpcException, match="comes with policyc"):
        editor.renamed("main.pol", *line(MAIN, "COM4"), "COM9")


def test_nothing_is_renamed_in_a_policy_with_errors(editor: Editor) -> None:
    editor.open("broken.pol", HEAD + "let io A = 0x60\nallow io A\nallow io A wrte\n")
    editor.diagnostics("broken.pol")
    with pytest.raises(JsonRpcException, match="mend its errors first"):
        editor.renamed("broken.pol", 3, 7, "B")


# completion

WORDS = [
    ("statement", "", {"intercept", "allow", "let", "profile", "test", "never"}, {"msr", "IA32_EFER"}),
    ("space", "intercept ", {"msr", "io"}, {"allow", "IA32_EFER"}),
    ("register", "intercept msr IA32_EF", {"IA32_EFER"}, {"IA32_PAT", "COM1", "PORTS"}),
    ("middle of a name", "intercept msr EFER", {"IA32_EFER"}, {"IA32_PAT"}),
    ("port and set", "intercept io ", {"PORTS", "COM1", "p"}, {"MSRS", "IA32_EFER", "intercept"}),
    ("in a set", "intercept msr { 0x10, ", {"MSRS", "IA32_EFER"}, {"PORTS", "read"}),
    ("on a set's second line", "let msr B = {\n    0x10,\n    MS", {"MSRS"}, {"PORTS"}),
    ("member", "intercept io p.", {"UART", "BOTH"}, {"PORTS", "COM1"}),
    ("access", "intercept msr IA32_EFER ", {"read", "write", "rw", "when", "on", "except"}, {"IA32_EFER", "MSRS"}),
    ("action", "intercept msr 0x10 -> ", set(ACTION_WORDS), {"MSRS", "IA32_EFER"}),
    ("second action", "intercept msr 0x10 -> log, ", {"kill", "drop"}, {"MSRS"}),
    ("argument", "intercept msr 0x10 -> inject(", {"gp", "ud"}, {"kill"}),
    ("value", "intercept msr 0x10 read -> const(", {"LIMIT"}, {"MSRS", "kill"}),
    ("named argument", "intercept msr 0x10 -> mask(", {"and=", "or="}, {"kill"}),
    ("profile", "profile late extends ", {"run"}, {"IA32_EFER", "kill"}),
    ("target", "target ", {"vmx", "svm", "kvm"}, {"run"}),
    ("module", 'import "std/', {"serial.pol", "pit.pol"}, {"parts.pol"}),
    ("file", 'import "', {"std/", "parts.pol"}, {"serial.pol", "typed.pol"}),
    ("a line of a test", 'test "t" {\n    ', {"rdmsr", "wrmsr", "in", "out"}, {"intercept"}),
    ("an address of a test", 'test "t" {\n    rdmsr ', {"IA32_EFER", "MSRS"}, {"PORTS"}),
    ("a profile of a test", 'test "t" {\n    rdmsr 0x10 profile ', {"run"}, {"IA32_EFER"}),
    ("a comment", "# intercept ", set(), {"msr", "io"}),
    ("a new name", "let msr ", set(), {"IA32_EFER", "MSRS"}),
]


@pytest.mark.parametrize(("typed", "offered", "absent"), [row[1:] for row in WORDS], ids=[row[0] for row in WORDS])
def test_completion(editor: Editor, typed: str, offered: set[str], absent: set[str]) -> None:
    before = (
        HEAD
        + 'import "parts.pol" as p\nlet msr MSRS = { 0x10 }\nlet io PORTS = { 0x60 }\nlet const LIMIT = 5\n'
        + "profile run {\n    allow msr 0x11\n}\n"
    )
    editor.open("typed.pol", before + typed)
    editor.diagnostics("typed.pol")
    text = before + typed
    found = set(editor.complete("typed.pol", text.count("\n"), len(text) - text.rfind("\n") - 1))
    assert offered <= found
    assert not absent & found
    editor.close("typed.pol")


# fixes


def test_fixes_tell_which_of_them_may_change_the_images(editor: Editor) -> None:
    editor.open("fix.pol", HEAD + "intercept io 0x3ff..0x3f8\nintercept msr 0x10 out\n")
    assert editor.codes("fix.pol") == ["E021", "E051"]
    (unsafe,) = [each for each in editor.actions("fix.pol", 3) if each.kind == types.CodeActionKind.QuickFix]
    assert "may change what is intercepted" in unsafe.title
    assert not unsafe.is_preferred
    assert unsafe.edit is not None
    assert "intercept io 0x3f8..0x3ff\n" in editor.edited(unsafe.edit)["fix.pol"]
    (safe,) = [each for each in editor.actions("fix.pol", 4) if each.kind == types.CodeActionKind.QuickFix]
    assert "may change" not in safe.title
    assert safe.is_preferred
    assert safe.edit is not None
    assert "intercept msr 0x10 write\n" in editor.edited(safe.edit)["fix.pol"]


def test_all_safe_fixes_of_lint_at_once(editor: Editor) -> None:
    text = HEAD + "intercept msr 0x1d9 write -> log(rate=5)\nintercept msr 0x1a0 write -> log(rate=5)\n"
    editor.write("policyc.toml", '[lint]\nselect = ["Y703"]\n')
    editor.open("all.pol", text)
    editor.until("all.pol", lambda found: [each.code for each in found] == ["Y703", "Y703"])
    (every,) = [each for each in editor.actions("all.pol", 0) if each.kind == "source.fixAll.policyc"]
    assert every.edit is not None
    wanted = text.replace("0x1d9", "IA32_DEBUGCTL").replace("0x1a0", "IA32_MISC_ENABLE")
    assert editor.edited(every.edit)["all.pol"] == wanted


def test_the_outline_has_names_rules_and_profiles_with_theirs(editor: Editor) -> None:
    found = editor.outline("main.pol")
    assert [each.name for each in found] == [
        "parts.pol", "std/serial.pol", "MASK", "uart", "allow io { parts.BOTH }", "intercept msr IA32_EFER", "run",
        "late", "one",
    ]  # fmt: skip
    run = found[6]
    assert [each.name for each in run.children or ()] == ["allow io serial.COM4"]
    assert run.range.end.line == line(MAIN, "COM4")[0]
