"""`policyc diff --since`: each policy of a branch with what it was where the branch left the other one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from policyc.cli import frame
from tests.ci.scratch import FINE, RISKY, Repository

Captured = pytest.CaptureFixture[str]
PART = "language 1\nlet io OURS = 0x1230\n"
USER = FINE + 'import "part.pol" as part\nallow io part.OURS\n'


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    made = Repository(tmp_path)
    made.commit(policies__vm_pol=FINE, policies__user_pol=USER, policies__part_pol=PART, old_pol=FINE)
    for name, value in made.around.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(made.path)
    return made


def since(capsys: Captured, *words: str, status: int) -> str:
    assert frame.run(["diff", "--since", "git:main", *words]) == status
    out, err = capsys.readouterr()
    assert err == "" or status == 2
    return out


def names(capsys: Captured, *words: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(since(capsys, *words, "--format", "json", "--fail-on", "never", status=0))
    return document


def test_nothing_changed(repository: Repository, capsys: Captured) -> None:
    assert since(capsys, ".", status=0) == "no difference\n"
    (repository.path / "old.pol").write_text("# words\n" + FINE)
    assert since(capsys, ".", status=0) == "no difference\n"


def test_a_changed_policy_is_compared_and_a_new_one_with_nothing(repository: Repository, capsys: Captured) -> None:
    (repository.path / "policies" / "vm.pol").write_text(RISKY)
    (repository.path / "policies" / "new.pol").write_text(FINE)
    lines = since(capsys, ".", status=1).splitlines()
    assert lines[:2] == ["policies/new.pol:", "opens 3 MSRs for read and write"]
    assert lines[lines.index("policies/vm.pol:") + 1] == "opens 1 MSR for read and write"


def test_a_changed_module_is_a_change_of_the_policy_that_imports_it(repository: Repository, capsys: Captured) -> None:
    (repository.path / "policies" / "part.pol").write_text(PART.replace("0x1230", "0x1231"))
    (change,) = names(capsys, "policies")["changes"]
    assert change["new"] == "policies/user.pol"
    assert change["opens"]["summary"] == "opens 1 port for in and out"


def test_what_the_other_side_did_meanwhile_is_no_change_of_this_branch(
    repository: Repository, capsys: Captured
) -> None:
    repository.git("checkout", "-qb", "topic")
    repository.commit(policies__vm_pol=RISKY)
    repository.git("checkout", "-q", "main")
    repository.commit(old_pol=RISKY)
    repository.git("checkout", "-q", "topic")
    assert [each["new"] for each in names(capsys, ".")["changes"]] == ["policies/vm.pol"]


def test_from_a_folder_below_and_of_that_folder_alone(
    repository: Repository, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository.path / "old.pol").write_text(RISKY)
    (repository.path / "policies" / "vm.pol").write_text(RISKY)
    monkeypatch.chdir(repository.path / "policies")
    assert [each["new"] for each in names(capsys, ".")["changes"]] == ["vm.pol"]


def test_a_policy_that_is_changed_in_a_folder_beside_the_current_one(
    repository: Repository, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository.path / "policies" / "vm.pol").write_text(RISKY)
    (repository.path / "tools").mkdir()
    monkeypatch.chdir(repository.path / "tools")
    assert [each["new"] for each in names(capsys, "../policies")["changes"]] == ["../policies/vm.pol"]


def test_a_policy_that_git_calls_renamed_is_compared_with_what_it_was(repository: Repository, capsys: Captured) -> None:
    repository.git("mv", "policies/vm.pol", "policies/guest.pol")
    (repository.path / "policies" / "guest.pol").write_text(RISKY)
    lines = since(capsys, ".", status=1).splitlines()
    assert lines[:2] == ["policies/guest.pol, renamed from policies/vm.pol:", "opens 1 MSR for read and write"]
    assert not [line for line in lines if line.endswith(("gone", "IA32_FS_BASE"))]
    (change,) = names(capsys, ".")["changes"]
    assert (change["new"], change["renamed_from"]) == ("policies/guest.pol", "policies/vm.pol")
    marked = since(capsys, ".", "--format", "markdown", status=1)
    assert "**policyc diff** policies/guest.pol: renamed from policies/vm.pol\n" in marked


def test_a_policy_that_was_renamed_and_means_the_same_is_told_of_in_a_line(
    repository: Repository, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it comes from outside the paths, with settings that let git itself see no renames."""
    repository.git("config", "diff.renames", "false")
    repository.git("mv", "old.pol", "policies/moved.pol")
    assert since(capsys, "policies", status=0) == "policies/moved.pol: renamed from old.pol\n"
    monkeypatch.chdir(repository.path / "policies")
    assert since(capsys, ".", status=0) == "moved.pol: renamed from ../old.pol\n"
    assert since(capsys, ".", "--format", "markdown", status=0) == (
        "**policyc diff** moved.pol: renamed from ../old.pol\n"
    )


def test_a_policy_that_was_moved_with_its_modules_finds_the_old_ones(repository: Repository, capsys: Captured) -> None:
    long = PART + "# Our own device, of which nothing else is known to anybody.\n"
    repository.commit(policies__part_pol=long)
    repository.git("mv", "policies", "guests")
    (repository.path / "guests" / "part.pol").write_text(long.replace("0x1230", "0x1231"))
    found = names(capsys, ".")
    told = {each["new"]: each["renamed_from"] for each in found["changes"]}
    assert told == {"guests/user.pol": "policies/user.pol", "guests/vm.pol": "policies/vm.pol"}
    assert found["gone"] == []
    opened = {each["new"]: each["opens"]["summary"] for each in found["changes"] if not each["same"]}
    assert opened == {"guests/user.pol": "opens 1 port for in and out"}


def test_a_policy_that_is_gone_or_does_not_compile_is_named(repository: Repository, capsys: Captured) -> None:
    (repository.path / "old.pol").unlink()
    (repository.path / "policies" / "vm.pol").write_text("allow msr NOBODY\n")
    out = since(capsys, ".", status=2)
    assert "old.pol: gone\n" in out
    assert "policies/vm.pol: cannot be compared\n" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "git:none", "."], "none"),
        (["--since", "git:--output=x", "."], "names no revision"),
        (["--since", "git:main:vm.pol", "."], "names no revision"),
        (["--since", "git:main", "--against", "git:main", "."], "leave --against"),
    ],
)
def test_what_names_no_revision_is_told(repository: Repository, capsys: Captured, words: list[str], said: str) -> None:
    assert frame.run(["diff", *words]) == 2
    assert said in capsys.readouterr().err
