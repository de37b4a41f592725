"""Fixes: which go together, that safe ones keep every image, and that a file is written whole or not at all."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path
from typing import Any

import pytest

from policyc.cli import frame, lintfix
from policyc.cli.rewriting import replace
from policyc.lint.fixes import applied, apply, chosen
from policyc.pipeline import check_policy
from policyc.vocabulary.diagnostic import Diagnostic, Edit, Fix, Label
from policyc.vocabulary.span import Source, Span
from tests.lint.lint import CLOSED, OPEN, codes, lint

SOURCE = Source("vm.pol", "abcdefghij")


def fix(start: int, end: int, text: str, *, safe: bool = True, source: Source = SOURCE) -> Fix:
    return Fix("t", (Edit(Span(source, start, end), text),), safe)


def diagnostic(*fixes: Fix) -> Diagnostic:
    return Diagnostic("Y703", "info", "m", Label(Span(SOURCE, 0, 1)), fixes=fixes)


class TestChoice:
    def test_the_first_of_two_that_touch_is_taken(self) -> None:
        first, second, third = fix(1, 4, "X"), fix(3, 5, "Y"), fix(7, 8, "Z")
        found = [diagnostic(first), diagnostic(second), diagnostic(third)]
        assert chosen(found, unsafe=False, editable=["vm.pol"]) == [first, third]

    def test_neighbours_wait_for_the_next_round(self) -> None:
        assert (
            len(chosen([diagnostic(fix(1, 3, "")), diagnostic(fix(3, 5, ""))], unsafe=False, editable=["vm.pol"])) == 1
        )

    def test_unsafe_fixes_are_asked_for(self) -> None:
        found = [diagnostic(fix(1, 2, "X", safe=False))]
        assert chosen(found, unsafe=False, editable=["vm.pol"]) == []
        assert len(chosen(found, unsafe=True, editable=["vm.pol"])) == 1

    def test_other_files_are_left_alone(self) -> None:
        assert chosen([diagnostic(fix(1, 2, "X"))], unsafe=True, editable=["other.pol"]) == []

    def test_edits_do_not_move_each_other(self) -> None:
        assert apply([fix(0, 1, "longer"), fix(2, 3, ""), fix(9, 10, "!")]) == {"vm.pol": "longerbdefghi!"}


RULES = (
    "intercept msr 0xc0000080 write",
    "intercept msr MSR_LSTAR write",
    "intercept msr { 0x1b, 0x3a } write",
    "intercept msr 0x1b write",
    "intercept io { 0x60, 0x61, 0x64 } -> forward(kbc)",
    "## Never used.\nlet io UNUSED = 0x60",
    "let msr A = { 0x174, 0x175, 0x176 }",
    'import "std/pic.pol"',
    "override intercept io 0xcf9 -> kill",
    "intercept io 0x3f8 len 7",
    '# policyc: ignore[S401, S403] reason="old"\nintercept msr IA32_EFER read',
    "intercept io 0x70..0x71 except 0x90  # a comment",
)


@pytest.mark.parametrize("seed", range(25))
def test_safe_fixes_keep_every_image_and_come_to_an_end(seed: int, tmp_path: Path) -> None:
    """Random policies of everything that has a fix; run twice, the second run finds nothing to mend."""
    pick = random.Random(seed)
    lines = pick.sample(RULES, pick.randint(3, len(RULES)))
    ending = pick.choice(["\n", "\r\n"])
    path = tmp_path / "vm.pol"
    text = ending.join((OPEN + "\n".join(lines) + "\n").splitlines()) + ending
    path.write_bytes(text.encode())
    before = check_policy(str(path)).images
    frame.run(["lint", str(path), "--fix", "--no-config"])
    mended = path.read_bytes()
    assert check_policy(str(path)).images == before
    frame.run(["lint", str(path), "--fix", "--no-config"])
    assert path.read_bytes() == mended
    assert (b"\r\n" in mended) == (ending == "\r\n")
    assert b"UNUSED" not in mended
    assert b"0xc0000080" not in mended


class TestCommand:
    def write(self, folder: Path, text: str) -> Path:
        path = folder / "vm.pol"
        path.write_text(OPEN + text)
        return path

    def test_an_unsafe_fix_needs_its_option(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = self.write(tmp_path, "# Serial.\nallow io 0xc000 len 0x3f\n")
        frame.run(["lint", str(path), "--fix", "--no-config"])
        assert "len 0x3f" in path.read_text()
        frame.run(["lint", str(path), "--fix", "--unsafe-fixes", "--no-config"])
        assert "len 0x40" in path.read_text()

    def test_diff_writes_nothing_and_exits_with_1(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = self.write(tmp_path, "intercept msr 0xc0000080 write\n")
        before = path.read_bytes()
        assert frame.run(["lint", str(path), "--diff", "--no-config"]) == 1
        assert path.read_bytes() == before
        shown = capsys.readouterr().out
        assert "-intercept msr 0xc0000080 write\n+intercept msr IA32_EFER write\n" in shown
        path.write_text(OPEN)
        assert frame.run(["lint", str(path), "--diff", "--no-config"]) == 0

    def test_diff_tells_what_does_not_compile_and_exits_with_1(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = self.write(tmp_path, "foo\n")
        assert frame.run(["lint", str(path), "--diff", "--no-config"]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert "`foo` is not a statement" in err

    def test_diff_tells_what_cannot_be_read_and_exits_with_2(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert frame.run(["lint", str(tmp_path / "none.pol"), "--diff", "--no-config"]) == 2
        assert "none.pol" in capsys.readouterr().err

    def test_a_byte_order_mark_and_the_mode_stay(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, "intercept msr 0xc0000080 write\n")
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        path.chmod(0o640)
        frame.run(["lint", str(path), "--fix", "--no-config"])
        assert path.read_bytes().startswith(b"\xef\xbb\xbflanguage 1\n")
        assert b"IA32_EFER" in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o640

    def test_a_policy_that_does_not_compile_is_left_alone(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, "intercept msr 0xc0000080 write\nallow msr NOBODY\n")
        before = path.read_bytes()
        assert frame.run(["lint", str(path), "--fix", "--no-config"]) == 1
        assert path.read_bytes() == before

    def test_a_module_is_mended_for_all_that_import_it(self, tmp_path: Path) -> None:
        (tmp_path / "part.pol").write_text("language 1\nintercept msr 0xc0000080 write\n")
        self.write(tmp_path, 'import "part.pol"\n')
        frame.run(["lint", str(tmp_path), "--fix", "--no-config"])
        assert "IA32_EFER" in (tmp_path / "part.pol").read_text()

    def test_a_file_that_changed_meanwhile_is_left_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = self.write(tmp_path, "intercept msr 0xc0000080 write\n")
        fixed = lintfix._fixed

        def slowly(*given: Any) -> dict[str, str]:
            texts = fixed(*given)
            path.write_text(OPEN + "# Somebody saved.\n")
            return texts

        monkeypatch.setattr(lintfix, "_fixed", slowly)
        assert frame.run(["lint", str(path), "--fix", "--no-config"]) == 2
        assert "changed meanwhile" in capsys.readouterr().err
        assert path.read_text().endswith("# Somebody saved.\n")

    def test_nothing_is_left_beside_a_file(self, tmp_path: Path) -> None:
        self.write(tmp_path, "intercept msr 0xc0000080 write\n")
        frame.run(["lint", str(tmp_path), "--fix", "--no-config"])
        assert os.listdir(tmp_path) == ["vm.pol"]

    def test_a_link_is_followed_not_replaced(self, tmp_path: Path) -> None:
        real = tmp_path / "real.pol"
        real.write_bytes(b"old")
        link = tmp_path / "link.pol"
        link.symlink_to(real)
        replace(str(link), b"new")
        assert link.is_symlink()
        assert real.read_bytes() == b"new"


class TestAddedWaivers:
    def test_what_is_accepted_is_not_found_again(self, tmp_path: Path) -> None:
        path = tmp_path / "vm.pol"
        path.write_text(OPEN + "profile p {\n    intercept msr IA32_TSC\n}\nlet io X = 0x60\n")
        assert codes(path.read_text())
        assert frame.run(["lint", str(path), "--add-waivers", "--reason", "as it was", "--no-config"]) == 0
        text = path.read_text()
        assert codes(text) == []
        assert '    # policyc: ignore[P302] reason="as it was"\n    intercept msr IA32_TSC\n' in text
        assert max(map(len, text.splitlines())) <= 120
        assert [each.code for each in lint(text).left if each.code[0] == "X"] == []

    def test_what_no_statement_says_is_accepted_at_the_top(self, tmp_path: Path) -> None:
        path = tmp_path / "vm.pol"
        path.write_text("intercept msr IA32_EFER write\n")
        frame.run(["lint", str(path), "--add-waivers", "--reason", "as it was", "--no-config"])
        assert path.read_text().startswith("# policyc: file-ignore[S401")
        assert codes(path.read_text()) == []

    def test_each_code_gets_the_reason_of_the_narrowest_pattern(self, tmp_path: Path) -> None:
        path = tmp_path / "vm.pol"
        path.write_text(CLOSED + "allow msr { IA32_FEATURE_CONTROL, IA32_BIOS_UPDT_TRIG, IA32_DEBUGCTL }\n")
        words = ["--reason", "as it was", "--reason", "S=cells are trusted", "--reason", "S401=x=1, locked"]
        assert frame.run(["lint", str(path), "--add-waivers", *words, "--no-config"]) == 0
        assert '# policyc: ignore[S401] reason="x=1, locked"\n' in path.read_text()
        assert '# policyc: ignore[S403, S404] reason="cells are trusted"\n' in path.read_text()
        assert '# policyc: ignore[P301] reason="as it was"\n' in path.read_text()
        assert codes(path.read_text()) == []

    def test_a_reason_that_is_not_given_is_asked_for_until_it_is_written(self, tmp_path: Path) -> None:
        path = tmp_path / "vm.pol"
        path.write_text(CLOSED + "allow msr IA32_FEATURE_CONTROL\n")
        words = ["lint", str(path), "--add-waivers", "--reason", "P=fast enough", "--no-config"]
        assert frame.run(words) == 1
        assert '# policyc: ignore[S401] reason="TODO: say why"\nallow msr' in path.read_text()
        (left,) = [each for each in lint(path.read_text()).left if each.severity != "info"]
        assert (left.code, left.message) == ("X902", "the reason to accept S401 is still to be written")
        path.write_text(path.read_text().replace("TODO: say why", "locked by firmware"))
        assert codes(path.read_text()) == []

    @pytest.mark.parametrize("reason", ['a "quoted" one', "two\nlines", "back\\slash"])
    def test_a_reason_that_a_comment_cannot_hold_is_refused(self, reason: str, tmp_path: Path) -> None:
        assert frame.run(["lint", str(tmp_path), "--add-waivers", "--reason", reason]) == 2


def test_edits_at_one_text() -> None:
    assert applied("abc", [Edit(Span(SOURCE, 1, 1), "-"), Edit(Span(SOURCE, 2, 3), "C")]) == "a-bC"
