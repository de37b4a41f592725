"""What an editor is told of a text: driven by pygls' client over the pipes of a real ``policyc lsp``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lsprotocol import types

from tests.lsp.editor import ROOT, Editor, wait_for

HEAD = "language 1\ntarget vmx\ndefault exit\n"
SECURE = HEAD + "intercept msr 0x10 write -> log(rate=10)\n"


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    """One server for the tests that each have files of their own."""
    with Editor(tmp_path_factory.mktemp("work")) as found:
        yield found
    assert found.status == 0
    assert not found.messages


def test_the_editor_is_asked_to_watch_what_findings_depend_on(editor: Editor) -> None:
    editor.run(wait_for(lambda: bool(editor.watched)))
    assert editor.watched == ["**/*.pol", "**/policyc.toml", "**/pyproject.toml"]


def test_errors_of_syntax_and_of_meaning_come_with_code_place_and_help(editor: Editor) -> None:
    editor.open("errors.pol", HEAD + "intercept msr IA32_EFFER write\nintercept io 0x3f8-0x3ff\n")
    unknown, dash = editor.diagnostics("errors.pol")
    assert (unknown.code, unknown.severity) == ("E031", types.DiagnosticSeverity.Error)
    assert unknown.range == types.Range(types.Position(3, 14), types.Position(3, 24))
    assert "did you mean `IA32_EFER` (0xc0000080)?" in unknown.message
    assert dash.code == "E001"
    assert dash.range.start == types.Position(4, 18)


def test_a_conflict_names_the_other_rule_s_place(editor: Editor) -> None:
    editor.open("clash.pol", HEAD + "intercept io 0x60 -> kill\nintercept io 0x60 -> drop\n")
    (clash,) = editor.diagnostics("clash.pol")
    assert clash.code == "E201"
    assert clash.related_information is not None
    (other,) = clash.related_information
    assert other.location == types.Location(
        editor.uri("clash.pol"), types.Range(types.Position(3, 13), types.Position(3, 17))
    )


def test_a_keystroke_mends_and_breaks(editor: Editor) -> None:
    editor.open("typing.pol", HEAD + "intercept msr 0x1\n")
    assert editor.codes("typing.pol") == []
    editor.replace("typing.pol", (3, 17), (3, 17), "g")
    assert editor.codes("typing.pol") == ["E011"]
    editor.replace("typing.pol", (3, 17), (3, 18), "0")
    assert editor.codes("typing.pol") == []


def test_lint_follows_with_what_the_settings_ask_for(editor: Editor) -> None:
    editor.write("policyc.toml", '[lint]\nselect = ["Y703"]\n')
    editor.open(
        "style.pol", HEAD + "intercept msr 0x1d9 write\nintercept msr 0x1a0 write # policyc: ignore[Y703] reason='x'\n"
    )
    assert editor.diagnostics("style.pol")[0].code == "X900"  # Quotes are double ones: an error, told at once.
    editor.replace("style.pol", (4, 57), (4, 60), '"x"')
    (found,) = editor.until("style.pol", lambda found: [each.code for each in found] == ["Y703"])
    assert found.range == types.Range(types.Position(3, 14), types.Position(3, 19))
    assert found.severity == types.DiagnosticSeverity.Information


def test_findings_of_lint_follow_their_line_while_it_is_pushed_down(editor: Editor) -> None:
    editor.write("policyc.toml", '[lint]\nselect = ["Y703"]\n')
    editor.open("moving.pol", HEAD + "intercept msr 0x1d9 write\n")
    editor.until("moving.pol", lambda found: [each.code for each in found] == ["Y703"])
    editor.replace("moving.pol", (2, 12), (2, 12), "\n# why\n")
    (found,) = editor.diagnostics("moving.pol")
    assert found.range == types.Range(types.Position(5, 14), types.Position(5, 19))


def test_a_mistake_in_an_imported_file_is_told_there_and_mended_from_its_open_text(editor: Editor) -> None:
    editor.write("part.pol", "let msr A = 0x10g\n")
    editor.write("whole.pol", HEAD + 'import "part.pol" as part\nintercept msr part.A write\n')
    editor.open("whole.pol")
    assert editor.codes("whole.pol") == ["E034"]
    (there,) = editor.until("part.pol", bool)
    assert there.code == "E011"
    editor.open("part.pol")
    editor.replace("part.pol", (0, 16), (0, 17), "0")
    assert editor.codes("part.pol") == []
    assert editor.last("whole.pol") == []
    editor.replace("part.pol", (0, 8), (0, 9), "B")
    assert editor.codes("part.pol") == []
    assert editor.last("whole.pol") == ["E034"]
    editor.replace("part.pol", (0, 8), (0, 9), "A")
    assert editor.codes("part.pol") == []
    assert editor.last("whole.pol") == []


def test_a_file_of_names_counts_as_it_lies_on_the_disk(editor: Editor) -> None:
    names = "- name: SITE_DOOR\n  ports: 0x680\n  about: Opens the door.\n  access: w\n  vendor: any\n  tags: []\n  source: ours\n"
    editor.write("policyc.toml", '[lint]\nselect = ["Y703"]\ndatabase = ["site.yaml"]\n')
    editor.write("site.yaml", names)
    editor.open("names.pol", HEAD + "intercept io SITE_DOOR\n")
    assert editor.codes("names.pol") == []
    editor.write("site.yaml", names.replace("SITE_DOOR", "SITE_GATE"))
    editor.told_of("site.yaml")
    assert [each.code for each in editor.until("names.pol", bool)] == ["E032"]
    editor.write("policyc.toml", "")


def test_hover_tells_a_register_s_meaning_its_bits_and_what_becomes_of_it(editor: Editor) -> None:
    editor.open("hover.pol", HEAD + "allow msr IA32_EFER read\nintercept io 0x3f8..0x3ff -> log, kill\n")
    editor.diagnostics("hover.pol")
    said = editor.hover("hover.pol", 3, 12)
    assert said is not None
    assert "0xc0000080" in said
    assert "no-execute" in said
    assert "* 11 **NX** `0x800`: no-execute pages" in said
    # SDM vol. 3C, MSR-bitmap address: the read bits of 0xc0000000.. begin at byte 1024, the write bits at 3072.
    assert "`rdmsr`: passes through, by the rule of line 4; msr.bin byte 0x410 bit 0 = 0" in said
    assert "`wrmsr`: exits: exit, by the default; msr.bin byte 0xc10 bit 0 = 1" in said
    number = editor.hover("hover.pol", 4, 15)
    assert number is not None
    assert "COM1" in number
    kill = editor.hover("hover.pol", 4, 37)
    assert kill is not None
    assert "stops the virtual machine" in kill


def test_hover_on_a_rule_tells_how_much_of_it_counts(editor: Editor) -> None:
    editor.open("effect.pol", HEAD + "intercept io 0x60..0x64 out -> drop\nallow io 0x61\n")
    editor.diagnostics("effect.pol")
    said = editor.hover("effect.pol", 3, 3)
    assert said is not None
    assert "**exits: drop**" in said
    assert "It decides 12 of 15 accesses" in said  # Four of five ports, at three widths.


def test_hover_on_a_set_of_another_file_tells_its_addresses_and_its_comment(editor: Editor) -> None:
    editor.write("sets.pol", "## What the console needs.\nlet io UART = { 0x3f8 len 8, 0x2f8 }\n")
    editor.open("uses.pol", HEAD + 'import "sets.pol"\nintercept io sets.UART\n')
    editor.diagnostics("uses.pol")
    said = editor.hover("uses.pol", 4, 20)
    assert said is not None
    assert "9 ports: `{ 0x2f8, 0x3f8..0x3ff }`" in said
    assert "What the console needs." in said


def test_formatting_is_that_of_fmt(editor: Editor) -> None:
    text = HEAD + "\n\nintercept   msr {0x10,0x11}   write\r\n# kept\nlet io A=0x60\n"
    editor.open("layout.pol", text)
    done = subprocess.run(
        [sys.executable, "-m", "policyc", "fmt", "-"], input=text.encode(), capture_output=True, check=True, cwd=ROOT
    )
    assert editor.formatted("layout.pol") == done.stdout.decode()


def test_a_text_with_a_mistake_is_not_formatted(editor: Editor) -> None:
    text = HEAD + "intercept   msr 0x10 wrte\n"
    editor.open("broken.pol", text)
    assert editor.formatted("broken.pol") == text


def test_closing_a_file_takes_its_findings_away(editor: Editor) -> None:
    editor.open("closing.pol", HEAD + "intercept msr 0x1g\n")
    assert editor.codes("closing.pol") == ["E011"]
    editor.close("closing.pol")
    assert editor.until("closing.pol", lambda found: not found) == []


@pytest.mark.parametrize(("encoding", "width"), [("utf-8", 4), (None, 2)], ids=["utf-8", "none offered"])
def test_columns_are_counted_in_the_encoding_that_was_agreed_upon(
    encoding: str | None, width: int, tmp_path: Path
) -> None:
    """A character beyond U+FFFF is two units of UTF-16, four of UTF-8, one of UTF-32; UTF-16 where none is offered."""
    before = "intercept msr 0x10 # policyc: ignore["
    with Editor(tmp_path, encodings=() if encoding is None else (encoding,)) as editor:
        assert editor.initialized.capabilities.position_encoding == (encoding or "utf-16")
        editor.open("wide.pol", HEAD + before + '\U0001f600, E031] reason="why"\n')
        face, code = editor.diagnostics("wide.pol")
        assert (face.code, face.range.start.character) == ("X900", len(before))
        start = len(before) + width + len(", ")
        place = types.Range(types.Position(3, start), types.Position(3, start + 4))
        assert (code.code, code.range) == ("X904", place)
        editor.replace("wide.pol", (3, start), (3, start + 4), "Y703")
        assert editor.codes("wide.pol") == ["X900"]


@pytest.mark.parametrize(
    ("said", "status"), [(b"", 0), (b'{"jsonrpc": "2.0", "method": "exit"}', 1)], ids=["nothing", "exit"]
)
def test_an_editor_that_leaves_without_shutdown(said: bytes, status: int) -> None:
    """The protocol: the error code is 1 where `exit` comes without `shutdown`."""
    message = b"Content-Length: %d\r\n\r\n%s" % (len(said), said) if said else b""
    done = subprocess.run(
        [sys.executable, "-m", "policyc", "lsp"], input=message, capture_output=True, check=False, cwd=ROOT, timeout=30
    )
    assert (done.returncode, done.stderr) == (status, b"")


def test_without_pygls_the_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['pygls'] = None; from policyc.cli import frame; sys.exit(frame.run(['lsp']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr == "policyc: the language server needs pygls\n  help: pip install 'policyc[lsp]'\n"
