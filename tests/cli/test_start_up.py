"""Each command imports what it needs and nothing else, so that every start is quick."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from policyc.cli import commands
from tests.cli.sample import write

HEAVY = {"lark", "yaml", "jinja2", "argparse", "dataclasses", "inspect", "asyncio", "unittest", "typing_extensions"}
"""Never needed to read a policy; each costs 5 ms or more."""


def modules_of(*words: str, cwd: Path | None = None) -> set[str]:
    """Names of the modules that a command line imports beyond those of a bare Python."""
    code = (
        "import sys; bare = set(sys.modules)\n"
        "from policyc.cli import frame; frame.run(sys.argv[1:])\n"
        "print(*(set(sys.modules) - bare), file=sys.stderr)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True, text=True, timeout=60, check=False, cwd=cwd, env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    return set(done.stderr.splitlines()[-1].split())


def test_the_version_imports_next_to_nothing() -> None:
    ours = {"policyc", "policyc.cli", "policyc.cli.commands", "policyc.cli.frame", "policyc.cli.parser"}
    assert modules_of("--version") == ours | {"__future__", "errno"}  # The second is built in, the first one page.


@pytest.mark.parametrize("name", commands.NAMES)
def test_importing_a_command_is_cheap(name: str) -> None:
    """`help`, completion and every command line import command files: they may import the frame's own files only,
    and typing's names at no cost."""
    code = (
        f"import sys; bare = set(sys.modules); import {commands.module_name(name)}; print(*(set(sys.modules) - bare))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    got = {each for each in done.stdout.split() if each.startswith("policyc")}
    typed = {"policyc", "policyc.vocabulary", "policyc.vocabulary.typed", "policyc.vocabulary._named"}
    assert {each for each in got - typed if not each.startswith("policyc.cli")} == set()


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (
            ["check", "vm.pol"],
            [
                "policyc.emitters.handler",
                "policyc.reports.text",
                "policyc.bundle.write",
                "policyc.bundle.manifest",
                "policyc.database.search",
            ],
        ),
        (
            ["explain", "vm.pol", "in", "0x60"],
            ["policyc.bundle.write", "policyc.emitters", "json", "policyc.proof.prove"],
        ),
        (
            ["lint", "vm.pol", "--no-config", "--select", "S401"],
            [
                "policyc.proof.prove",
                "policyc.bundle.write",
                "policyc.emitters.handler",
                "policyc.lint.pages",
                "policyc.lint.rules.s402_vmx_capability",
                "tomllib",
                "difflib",
                "json",
                "policyc.cli.lintfix",
            ],
        ),
        (
            ["rule", "S401"],
            ["policyc.semantics.resolve", "policyc.syntax.parser", "policyc.lint.rules.s402_vmx_capability"],
        ),
        (["test", "vm.pol"], ["policyc.bundle.write", "policyc.emitters", "policyc.proof.prove"]),
        (["show", "vm.pol"], ["policyc.bundle.write", "policyc.emitters", "policyc.reports.charts"]),
        (["help"], ["policyc.semantics", "policyc.syntax", "policyc.database"]),
        (["completion", "bash"], ["policyc.semantics", "policyc.syntax", "policyc.database"]),
    ],
)
def test_what_a_command_leaves_alone(words: list[str], absent: list[str], tmp_path: Path) -> None:
    write(tmp_path)
    got = modules_of(*words, cwd=tmp_path)
    assert got & HEAVY == set()
    found = {each for each in got for prefix in absent if each == prefix or each.startswith(f"{prefix}.")}
    assert found == set()
