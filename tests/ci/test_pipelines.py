"""action.yml and ci/gitlab.yml: valid by their schemas, and their steps do on a scratch repository what they promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ci.scratch import FINE, RISKY, ROOT, Repository

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
GITLAB = yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text())
STEPS = {each["name"]: each for each in ACTION["runs"]["steps"] if "name" in each}


@pytest.mark.parametrize(
    ("file", "schema"), [("action.yml", "vendor.github-actions"), ("ci/gitlab.yml", "vendor.gitlab-ci")]
)
def test_the_files_are_what_their_services_read(file: str, schema: str) -> None:
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(ROOT / file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def github(user: Repository, step: str, tmp_path: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """One step as GitHub runs it: its inputs in the environment, bash with -e and pipefail."""
    values = {name: each.get("default", "") for name, each in ACTION["inputs"].items()} | inputs

    def filled(text: str) -> str:
        name = re.fullmatch(r"\$\{\{ inputs\.([a-z-]+)(?: \|\| [\w.]+)? \}\}", text)
        assert name is not None, text
        return values[name[1]]

    variables = {name: filled(text) for name, text in STEPS[step].get("env", {}).items()}
    script = tmp_path / "step.sh"
    script.write_text(STEPS[step]["run"])
    summary = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), "GITHUB_ACTION_PATH": str(ROOT)}
    return user.run("bash", "--noprofile", "--norc", "-eo", "pipefail", str(script), **variables, **summary)


def test_no_word_of_a_user_is_pasted_into_a_script() -> None:
    for step in STEPS.values():
        assert "${{" not in step["run"]


def test_the_action_annotates_tests_and_checks_the_layout(tmp_path: Path) -> None:
    user = Repository(tmp_path)
    user.commit(vm_pol=FINE)
    for step in ("lint", "test", "format"):
        assert github(user, step, tmp_path).returncode == 0, step
    user.commit(vm_pol=RISKY + '\ntest "x" {\n  rdmsr IA32_FEATURE_CONTROL => exit\n}\n')
    done = github(user, "lint", tmp_path)
    assert done.returncode == 1
    assert "::error file=vm.pol," in done.stdout
    assert github(user, "test", tmp_path).returncode != 0
    assert github(user, "format", tmp_path).returncode == 1


def test_the_action_s_words_for_lint_are_words(tmp_path: Path) -> None:
    user = Repository(tmp_path)
    user.commit(vm_pol=RISKY)
    assert github(user, "lint", tmp_path, **{"lint-args": "--threat monitor"}).returncode == 0
    hostile = github(user, "lint", tmp_path, **{"lint-args": "$(touch hit) ; touch hit"})
    assert hostile.returncode == 2
    assert not (user.path / "hit").exists()


def test_the_action_sums_up_what_a_pull_request_opens(tmp_path: Path) -> None:
    user = Repository(tmp_path)
    base = user.commit(vm_pol=FINE)
    user.commit(vm_pol=RISKY)
    done = github(user, "what the change opens", tmp_path, base=base)
    assert done.returncode == 0, done.stderr
    summary = (tmp_path / "summary.md").read_text()
    assert "**Opens 1 MSR for read and write**" in summary
    assert "IA32&#95;FEATURE&#95;CONTROL" in summary


def gitlab(user: Repository, job: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A job's script as GitLab's runner runs it: its lines one after the other, until one fails."""
    variables: dict[str, Any] = {**GITLAB["variables"], **more}
    return user.run("bash", "-eo", "pipefail", "-c", "\n".join(GITLAB[job]["script"]), **variables)


def test_gitlab_s_jobs_fail_where_something_is_wrong(tmp_path: Path) -> None:
    user = Repository(tmp_path)
    base = user.commit(vm_pol=FINE)
    assert gitlab(user, "policyc-lint").returncode == 0
    assert gitlab(user, "policyc-test").returncode == 0
    user.commit(vm_pol=RISKY + '\ntest "x" {\n    rdmsr IA32_FEATURE_CONTROL => exit\n}\n')
    assert gitlab(user, "policyc-lint").returncode == 1
    assert gitlab(user, "policyc-test").returncode != 0
    assert "<testsuites" in (user.path / "policyc.xml").read_text()
    user.commit(vm_pol=RISKY)
    assert gitlab(user, "policyc-changes", CI_MERGE_REQUEST_DIFF_BASE_SHA=base).returncode == 0
    assert "**Opens 1 MSR for read and write**" in (user.path / "changes.md").read_text()
