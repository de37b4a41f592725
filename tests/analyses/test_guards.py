"""A change that removes a guard is told of, whatever the guard was called and wherever it stood."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policyc.analyses.guards import dropped
from policyc.cli import frame
from policyc.pipeline import front
from policyc.semantics.policy import Policy
from tests.lint.lint import DATABASE

HEAD = "language 1\ndefault exit\n"


def policy(text: str) -> Policy:
    return front("vm.pol", database=DATABASE, buffers={"vm.pol": (HEAD + text).encode()}).policy


def lost(old: str, new: str) -> list[tuple[str, str, tuple[tuple[int, int], ...]]]:
    return [(each.kind, each.span.text, each.rest) for each in dropped(policy(old), policy(new))]


@pytest.mark.parametrize(
    ("old", "new", "rest"),
    [
        ("never allow msr 0x3a write\n", "", ((0x3A, 0x3A),)),
        ("never allow msr 0x3a\n", "never allow msr 0x3a read\n", ((0x3A, 0x3A),)),
        ("never allow msr 0x10..0x20\n", "never allow msr { 0x10..0x17, 0x19..0x20 }\n", ((0x18, 0x18),)),
        ("never allow io 0xb2\n", "never allow msr 0xb2\n", ((0xB2, 0xB2),)),
        ("assert intercepted msr 0x1b..0x1c\n", "assert intercepted msr 0x1b\n", ((0x1C, 0x1C),)),
        ("assert intercepted io 0xcf8\n", "assert not intercepted io 0xcf8\n", ((0xCF8, 0xCF8),)),
        ("assert action msr 0x3a == exit\n", "assert action msr 0x3a == kill\n", ((0x3A, 0x3A),)),
    ],
)
def test_what_nothing_guards_any_more_is_named(old: str, new: str, rest: tuple[tuple[int, int], ...]) -> None:
    ((_, _, left),) = lost(old, new)
    assert left == rest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("never allow msr 0x10..0x20\n", "never allow msr 0x18..0x20\n# moved\nnever allow msr { 0x10, 0x11..0x17 }\n"),
        ("never allow msr 0x3a write\n", "never allow msr 0x3a\n"),
        ("assert intercepted msr IA32_EFER write\n", "assert intercepted msr { 0xc0000080, 0x3a } write\n"),
        (
            'test "a" {\n  rdmsr 0x3a => exit\n}\n',
            'test "b" {\n  rdmsr 0x1b => exit\n  rdmsr IA32_FEATURE_CONTROL => exit\n}\n',
        ),
        ("profile a {\n  never allow msr 0x3a\n}\n", "never allow msr 0x3a\nprofile a {\n}\n"),
        ("", "never allow msr 0x3a\n"),
    ],
)
def test_a_guard_in_other_words_is_still_there(old: str, new: str) -> None:
    assert lost(old, new) == []


def test_a_guard_of_every_profile_is_not_kept_by_one_of_a_single_profile() -> None:
    old = "never allow msr 0x3a\nprofile a {\n}\n"
    assert lost(old, "profile a {\n  never allow msr 0x3a\n}\n") == [("never", "never allow msr 0x3a", ((0x3A, 0x3A),))]


def test_a_case_with_another_outcome_is_another_case() -> None:
    old, new = (f'test "a" {{\n  rdmsr 0x3a => {each}\n}}\n' for each in ("exit", "kill"))
    assert lost(old, new) == [("test", "rdmsr 0x3a => exit", ())]


OLD = HEAD + 'never allow msr { 0x3a, 0x79 } write\ntest "shut" {\n    wrmsr 0x3a => exit\n}\n'


def diffed(capsys: pytest.CaptureFixture[str], folder: Path, new: str, *words: str) -> tuple[int, str]:
    for name, text in (("old.pol", OLD), ("new.pol", new)):
        (folder / name).write_text(text)
    status = frame.run(["diff", str(folder / "old.pol"), str(folder / "new.pol"), *words])
    return status, capsys.readouterr().out


def test_diff_tells_of_them_and_counts_them_as_a_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = diffed(capsys, tmp_path, HEAD + "never allow msr 0x3a write\n")
    assert status == 1
    assert out.splitlines() == [
        "no access is decided differently",
        "drops 2 guards: 1 never, 1 test",
        f"    - {tmp_path}/old.pol:3  never allow msr {{ 0x3a, 0x79 }} write  (no longer for 0x79)",
        f"    - {tmp_path}/old.pol:5  wrmsr 0x3a => exit  (test shut)",
    ]
    assert diffed(capsys, tmp_path, HEAD, "--fail-on", "opens")[0] == 0
    assert diffed(capsys, tmp_path, OLD, "--exit-code") == (0, "no difference\n")


def test_they_stand_in_json_and_markdown_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(diffed(capsys, tmp_path, HEAD, "--format", "json")[1])
    assert document["same"] is True
    assert [(each["kind"], each["line"], each["test"], each["rest"]) for each in document["dropped"]] == [
        ("never", 3, None, [[0x3A, 0x3A], [0x79, 0x79]]),
        ("test", 5, "shut", []),
    ]
    _, out = diffed(capsys, tmp_path, HEAD, "--format", "markdown")
    assert "**Drops 2 guards: 1 never, 1 test**" in out
