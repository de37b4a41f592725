"""The README's commands are the ones that CI runs, and the pages it names are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.demand import need_git

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shell_blocks() -> list[str]:
    return [each.strip() for each in re.findall(r"^```sh\n((?:.*\n)*?)```$", README, re.MULTILINE)]


def test_ci_fails_where_the_command_that_the_readme_gives_for_the_tests_does() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").rstrip().splitlines()
    assert f"{shell_blocks()[1]} || status=$?" in script
    assert script[-1] == 'exit "$status"'


def test_the_slow_tests_have_a_command_of_their_own() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    command = f"`{shell_blocks()[1]} -m slow`"
    assert command in README
    assert command in script


def test_slow_tests_are_left_out_unless_they_are_asked_for() -> None:
    def collected(*options: str) -> int:
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *options]
        done = subprocess.run(
            [*command, "tests/proof/test_exhaustive.py"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return sum("::" in line for line in done.stdout.splitlines())

    everyday, slow, every = collected(), collected("-m", "slow"), collected("-m", "")
    assert everyday > 0
    assert slow > 0
    assert everyday + slow == every


def test_the_map_of_the_folders_has_every_folder() -> None:
    need_git()
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    folders = {name.partition("/")[0] for name in tracked if "/" in name}
    assert folders <= set(re.findall(r"`([\w.]+)/`", README.partition("## The folders")[2]))


def test_every_link_of_a_page_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    missing = []
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not (page.parent / target).exists():
                missing.append(f"{page.name}: {target}")
    assert missing == []
