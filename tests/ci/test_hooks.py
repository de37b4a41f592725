""".pre-commit-hooks.yaml, by the real pre-commit on scratch repositories.

Every day with `language: system`, which takes `policyc` from the path; marked slow with an environment that pre-commit
makes, as a user has it: 4 s of work and what the package index takes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ci.scratch import FINE, RISKY, ROOT, Repository, product

HOOKS = ("policyc-lint", "policyc-fmt", "policyc-test")


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return product(tmp_path_factory.mktemp("hooks"))


def configured(folder: Path, hooks: Repository, *ids: str, system: bool = True) -> Repository:
    user = Repository(folder)
    language = "\n        language: system" if system else ""
    listed = "\n".join(f"      - id: {each}{language}" for each in ids)
    revision = hooks.git("rev-parse", "HEAD").strip()
    text = f"repos:\n  - repo: {hooks.path}\n    rev: {revision}\n    hooks:\n{listed}\n"
    (user.path / ".pre-commit-config.yaml").write_text(text)
    return user


def attempt(user: Repository) -> subprocess.CompletedProcess[str]:
    """What `git commit` asks pre-commit to do, for what is staged."""
    user.git("add", "-A")
    return user.run(sys.executable, "-m", "pre_commit", "run", "--color", "never")


def test_the_manifest_is_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")], check=False
    )
    assert done.returncode == 0


def test_a_change_that_opens_something_dangerous_is_stopped(tmp_path: Path, hooks: Repository) -> None:
    user = configured(tmp_path, hooks, *HOOKS)
    (user.path / "vm.pol").write_text(RISKY)
    done = attempt(user)
    assert done.returncode == 1
    assert "error[S401]" in done.stdout
    (user.path / "vm.pol").write_text(FINE)
    assert attempt(user).returncode == 0


def test_a_change_to_a_module_is_judged_in_the_policies_that_import_it(tmp_path: Path, hooks: Repository) -> None:
    user = configured(tmp_path, hooks, "policyc-lint")
    (user.path / "part.pol").write_text("language 1\nlet io OURS = 0x1230\n")
    (user.path / "vm.pol").write_text(FINE + 'import "part.pol" as part\nallow io part.OURS\n')
    assert attempt(user).returncode == 0
    user.git("commit", "-qm", "first")
    (user.path / "part.pol").write_text("language 1\nlet io OURS = 0xcf8 len 8\n")
    done = attempt(user)
    assert done.returncode == 1
    assert "S408" in done.stdout


def test_a_policy_is_formatted_and_a_failing_test_stops(tmp_path: Path, hooks: Repository) -> None:
    user = configured(tmp_path, hooks, "policyc-fmt", "policyc-test")
    (user.path / "vm.pol").write_text(FINE.replace("default exit", "default   exit"))
    assert "files were modified by this hook" in attempt(user).stdout
    assert (user.path / "vm.pol").read_text() == FINE
    (user.path / "vm.pol").write_text(FINE + '\ntest "closed" {\n    rdmsr IA32_FS_BASE => exit\n}\n')
    done = attempt(user)
    assert done.returncode == 1
    assert "E213" in done.stdout


def test_what_has_no_policy_in_it_is_left_alone(tmp_path: Path, hooks: Repository) -> None:
    user = configured(tmp_path, hooks, *HOOKS)
    (user.path / "notes.txt").write_text("nothing\n")
    done = attempt(user)
    assert (done.returncode, done.stdout.count("Skipped")) == (0, 3)


@pytest.mark.slow
def test_pre_commit_installs_policyc_by_itself(tmp_path: Path, hooks: Repository) -> None:
    user = configured(tmp_path, hooks, *HOOKS, system=False)
    (user.path / "vm.pol").write_text(RISKY)
    user.around.pop("PYTHONPATH")
    user.git("add", "-A")
    done = user.run(sys.executable, "-m", "pre_commit", "run", "--color", "never")
    assert done.returncode == 1
    assert "error[S401]" in done.stdout
    (python,) = (tmp_path / "cache").glob("repo*/py_env-*/bin/policyc")
    assert python.exists()
