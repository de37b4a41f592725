"""``policyc lint`` and ``policyc rule`` as their users meet them: paths, settings, baselines, formats, exit codes."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from policyc.cli import frame
from policyc.cli.lintconfig import LARGEST, read
from policyc.vocabulary.diagnostic import UnreadableError
from tests.lint.lint import CLOSED, OPEN

RISKY = CLOSED + "# It is locked.\nallow msr IA32_FEATURE_CONTROL\n"
FINE = CLOSED + "allow msr { IA32_FS_BASE, IA32_GS_BASE, IA32_KERNEL_GS_BASE }\n"


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[tuple[str, str]]]:
    """Exit code, and file name and code of each finding."""
    status = frame.run(["lint", *words, "--format", "json"])
    document = json.loads(capsys.readouterr().out)
    assert document["format_version"] == 1
    rows = [
        ("" if each["primary"] is None else os.path.basename(each["primary"]["file"]), each["code"])
        for each in document["diagnostics"]
        if each["severity"] != "info"
    ]
    return status, rows


class TestPaths:
    def test_a_folder_is_searched_in_order_without_hidden_ones(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("b.pol", "a/z.pol", ".hidden/x.pol", "a/.y.pol", "notes.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(RISKY)
        status, rows = told(capsys, str(tmp_path), "--select", "S401")
        assert (status, rows) == (1, [("z.pol", "S401"), ("b.pol", "S401")])

    def test_a_module_of_the_folder_is_no_policy_of_its_own(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "part.pol").write_text("language 1\nintercept msr IA32_TSC\n")
        (tmp_path / "vm.pol").write_text(FINE.replace("default", 'import "part.pol"\ndefault'))
        assert told(capsys, str(tmp_path)) == (1, [("part.pol", "P302")])
        assert ("part.pol", "Y702") in told(capsys, str(tmp_path / "part.pol"))[1]

    def test_a_finding_in_a_module_is_told_once(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "part.pol").write_text("language 1\nintercept msr IA32_TSC\n")
        for name in ("one.pol", "two.pol"):
            (tmp_path / name).write_text(FINE.replace("default", 'import "part.pol"\ndefault'))
        assert told(capsys, str(tmp_path)) == (1, [("part.pol", "P302")])

    def test_standard_input(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(RISKY.encode())))
        assert told(capsys, "-", "--select", "S401") == (1, [("<stdin>", "S401")])

    def test_standard_input_is_mended_to_standard_output(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((FINE + "intercept io 0x1b\n").encode())))
        frame.run(["lint", "-", "--fix"])
        assert capsys.readouterr().out == FINE + "intercept io 0x1b\n"
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((OPEN + "intercept msr 0x1b\n").encode())))
        frame.run(["lint", "-", "--fix"])
        assert capsys.readouterr().out == OPEN + "intercept msr IA32_APIC_BASE\n"

    def test_what_is_missing_is_2(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert frame.run(["lint", str(tmp_path / "none.pol")]) == 2
        assert frame.run(["lint", str(tmp_path)]) == 2
        assert "no policy (*.pol) below" in capsys.readouterr().err

    def test_what_does_not_compile_fails_at_every_level(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "vm.pol").write_text("allow msr NOBODY\n")
        assert told(capsys, str(tmp_path), "--fail-on", "never", "--ignore", "ALL")[0] == 1


class TestSettings:
    def test_the_nearest_file_counts_and_the_command_line_wins(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "policyc.toml").write_text('[lint]\nthreat = "none"\n')
        (tmp_path / "far" / "off").mkdir(parents=True)
        (tmp_path / "far" / "off" / "vm.pol").write_text(RISKY)
        path = str(tmp_path / "far" / "off" / "vm.pol")
        assert ("vm.pol", "S401") not in told(capsys, path)[1]
        assert ("vm.pol", "S401") in told(capsys, path, "--threat", "guest-untrusted")[1]
        assert ("vm.pol", "S401") in told(capsys, path, "--no-config")[1]
        (tmp_path / "far" / "pyproject.toml").write_text('[tool.policyc.lint]\nignore = ["P"]\n')
        assert told(capsys, path) == (1, [("vm.pol", "S401")])

    def test_a_project_file_without_our_table_is_passed_by(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "policyc.toml").write_text('[lint]\nselect = ["S401"]\n')
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
        (tmp_path / "in" / "vm.pol").write_text(RISKY)
        assert told(capsys, str(tmp_path / "in")) == (1, [("vm.pol", "S401")])

    def test_patterns_of_paths_add_up_and_later_ones_win(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "policyc.toml").write_text(
            '[lint.per-path."*.pol"]\nignore = ["P301"]\nthreat = "none"\n'
            '[lint.per-path."strict/*.pol"]\nthreat = "guest-untrusted"\n'
        )
        (tmp_path / "strict").mkdir()
        for name in ("vm.pol", "strict/vm.pol"):
            (tmp_path / name).write_text(RISKY)
        assert told(capsys, str(tmp_path / "vm.pol")) == (0, [])
        assert told(capsys, str(tmp_path / "strict")) == (1, [("vm.pol", "S401")])

    def test_severities_and_the_level_that_fails(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "vm.pol").write_text(RISKY)
        path = str(tmp_path / "vm.pol")
        assert told(capsys, path, "--select", "P301")[0] == 1
        assert told(capsys, path, "--select", "P301", "--fail-on", "error")[0] == 0
        assert told(capsys, path, "--fail-on", "never")[0] == 0
        (tmp_path / "policyc.toml").write_text('[lint]\nfail-on = "error"\n[lint.severity]\nP = "error"\n')
        assert told(capsys, path, "--select", "P301")[0] == 1

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[lint", "Expected"),
            ("[lint]\nselct = []\n", "did you mean `select`?"),
            ("[lint]\nselect = 'S4'\n", "is a list of words"),
            ("[lint]\nselect = ['S9']\n", "no code, name or beginning"),
            ("[lint]\nthreat = 'everyone'\n", "is one of guest-untrusted"),
            ("[lint]\nstrict-waivers = 1\n", "is true or false"),
            ("[lint]\nseverity = { S4 = 'fatal' }\n", "is one of error"),
            ("lint = 3\n", "is a table"),
            ("[lint.per-path.'*']\nfail-on = 'error'\n", "is no setting"),
            ("[lint]\nignore = [" + "'S4', " * 501 + "]\n", "more than 500"),
            ("x = " + "[" * 5000 + "]" * 5000, ""),
            ("x = 1" + "0" * 5000, ""),
            ("[lint]\nbaseline = '" + "a" * 501 + "'\n", "1 to 500 characters"),
            ("#" * (LARGEST + 1), "larger than"),
        ],
        ids=range(14),
    )
    def test_a_hostile_or_mistaken_file_is_2_with_its_name(self, text: str, said: str, tmp_path: Path) -> None:
        path = tmp_path / "policyc.toml"
        path.write_text(text)
        with pytest.raises(UnreadableError) as reason:
            read(str(path), whole=True)
        assert said in str(reason.value)
        assert str(path) in str(reason.value)
        (tmp_path / "vm.pol").write_text(FINE)
        assert frame.run(["lint", str(tmp_path / "vm.pol")]) == 2

    def test_tags_of_a_user_s_own_registers_are_asked(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "site.yaml").write_text(
            "- name: FUSE_BOX\n  index: 0x1f00\n  about: Fuses.\n  access: rw\n  vendor: any\n"
            "  tags: [host-critical, microcode]\n  source: ours\n"
        )
        (tmp_path / "policyc.toml").write_text('[lint]\ndatabase = ["site.yaml"]\nselect = ["S403"]\n')
        (tmp_path / "vm.pol").write_text(CLOSED + "# Ours.\nallow msr FUSE_BOX\n")
        assert told(capsys, str(tmp_path)) == (1, [("vm.pol", "S403")])


def test_the_settings_of_the_page_are_settings(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "lint.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "policyc.toml").write_text(block)
    config = read(str(tmp_path / "policyc.toml"), whole=True)
    assert config.of(str(tmp_path / "monitors" / "blue.pol")).threat == "monitor"
    assert config.fail_on == "warning"
    assert config.settings.level("S406", "warning") == "error"


class TestBaseline:
    def test_what_is_known_is_not_told_and_what_is_new_is(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path, known = tmp_path / "vm.pol", str(tmp_path / "known.json")
        path.write_text(RISKY)
        assert frame.run(["lint", str(path), "--write-baseline", known]) == 0
        capsys.readouterr()
        assert told(capsys, str(path), "--baseline", known) == (0, [])
        path.write_text(RISKY.replace("default", "# One line more.\n\ndefault") + "# New.\nallow io 0xcf9\n")
        assert told(capsys, str(path), "--baseline", known) == (1, [("vm.pol", "S408"), ("vm.pol", "S409")])

    @pytest.mark.parametrize(
        "text",
        ["", "[]", "{}", '{"format_version": 2, "findings": []}', '{"format_version": 1, "findings": [{"file": 1}]}',
         '{"format_version": 1, "findings": [{"file": "", "code": "", "text": "", "count": -1}]}', "[" * 100_000],
        ids=range(7),
    )  # fmt: skip
    def test_what_is_no_baseline_is_2(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "known.json").write_text(text)
        (tmp_path / "vm.pol").write_text(FINE)
        assert frame.run(["lint", str(tmp_path / "vm.pol"), "--baseline", str(tmp_path / "known.json")]) == 2


def test_to_write_a_baseline_of_a_policy_that_does_not_compile_is_1(tmp_path: Path) -> None:
    path, known = tmp_path / "vm.pol", tmp_path / "known.json"
    path.write_text(FINE + "foo\n")
    assert frame.run(["lint", str(path), "--write-baseline", str(known)]) == 1
    assert json.loads(known.read_text())["findings"] == []


class TestForms:
    def test_json_tells_what_is_waived(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "vm.pol"
        path.write_text(FINE + '# policyc: ignore[S401] reason="locked"\nallow msr IA32_FEATURE_CONTROL\n')
        assert frame.run(["lint", str(path), "--format", "json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert [(each["code"], each["reason"]) for each in document["waived"]] == [("S401", "locked")]

    def test_github_and_concise_are_one_line_a_finding(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "vm.pol"
        path.write_text(RISKY)
        frame.run(["lint", str(path), "--select", "S401", "--format", "github"])
        assert capsys.readouterr().out.startswith(f"::error file={path},line=5,endLine=5,col=11,")
        frame.run(["lint", str(path), "--select", "S401", "--format", "concise"])
        assert capsys.readouterr().out.startswith(f"{path}:5:11: error[S401] feature-control: ")

    def test_a_line_with_many_findings_is_shown_once(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "vm.pol"
        path.write_text(OPEN)
        frame.run(["lint", str(path), "--select", "S401,S403,S411", "--color", "never"])
        told = capsys.readouterr().err
        assert told.count("default passthrough") == 1
        assert [told.count(code) for code in ("S401]", "S403]", "S411]", "= help")] == [1, 1, 1, 3]

    def test_an_expired_waiver_is_held_against_the_given_date(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "vm.pol"
        path.write_text(FINE + '# policyc: ignore[S401] reason="x" until=2030-01-01\nallow msr IA32_FEATURE_CONTROL\n')
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(1_893_456_000))  # 2030-01-01
        assert told(capsys, str(path)) == (0, [])
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(1_893_456_000 + 86_400))
        assert told(capsys, str(path)) == (1, [("vm.pol", "X903"), ("vm.pol", "S401")])

    @pytest.mark.parametrize(
        "words",
        [
            ["--select", "S9"],
            ["--unsafe-fixes"],
            ["--add-waivers", "--reason", "x", "--fix"],
            ["--threat", "everyone"],
        ],
    )
    def test_words_that_make_no_sense_are_2(self, words: list[str], tmp_path: Path) -> None:
        (tmp_path / "vm.pol").write_text(FINE)
        assert frame.run(["lint", str(tmp_path / "vm.pol"), *words]) == 2


class TestRule:
    def test_a_page_by_code_by_name_and_in_any_case(self, capsys: pytest.CaptureFixture[str]) -> None:
        pages = []
        for word in ("S409", "s409", "reset", "Reset"):
            assert frame.run(["rule", word]) == 0
            pages.append(capsys.readouterr().out)
        assert len(set(pages)) == 1
        assert pages[0].startswith("# S409 reset\n")

    def test_a_compile_error_has_a_page_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert frame.run(["rule", "E201"]) == 0
        assert "cannot be waived" in capsys.readouterr().out

    def test_an_unknown_code_is_answered_by_the_nearest(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert frame.run(["rule", "microcode-updte"]) == 2
        assert "microcode-update" in capsys.readouterr().err

    def test_the_list_as_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert frame.run(["rule", "--format", "json"]) == 0
        rules: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["rules"]
        assert {"S409", "P301", "R601"} <= {each["code"] for each in rules}
        assert all(each["avoid"] and each["source"] for each in rules)
