"""No command imports a module of which it runs nothing: the modules of each are listed by what was called in them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.sample import TEXT, write
from tests.cli.test_start_up import modules_of

ROOT = Path(__file__).parents[2]

LISTING = """
import ast, io, sys
run = set()
def look(frame, event, _):
    if event == "call" and frame.f_code.co_flags & 1:  # a function's: neither a module's body nor a class's
        run.add(frame.f_code.co_filename)
sys.setprofile(look)
from policyc.cli import frame
sys.stdout = io.StringIO()
frame.run(sys.argv[1:])
sys.setprofile(None)
for name, module in sorted(sys.modules.items()):
    if name.startswith("policyc"):
        body = ast.parse(open(module.__file__, encoding="utf-8").read()).body
        functions = any(isinstance(each, ast.FunctionDef) for each in body)
        print("idle" if functions and module.__file__ not in run else "used", name, file=sys.__stdout__)
"""
"""Prints each module of policyc that a command imported; idle: it has functions, and none of them ran."""

TYPES = {
    "policyc.bundle.layout",
    "policyc.database.entry",
    "policyc.semantics.overlaps",
    "policyc.semantics.witness",
    "policyc.targets.selection",
    "policyc.vocabulary.access",
    "policyc.vocabulary.diagnostic",
    "policyc.vocabulary.intervals",
}
"""Their types and constants are what others use; the functions beside these are of a few lines."""
SPARE = {"policyc.resources", "policyc.syntax.words", "policyc.targets.registry", "policyc.vocabulary.near"}
"""A page each, for a name that is misspelt or a module that is imported: asked for in many places, seldom needed."""


class Listed(NamedTuple):
    idle: set[str]
    all: set[str]


def listed(folder: Path, *words: str) -> Listed:
    done = subprocess.run(
        [sys.executable, "-c", LISTING, *words], capture_output=True, text=True, check=True, cwd=folder, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    rows = [line.split() for line in done.stdout.splitlines()]
    return Listed({name for state, name in rows if state == "idle"}, {name for _, name in rows})


@pytest.mark.parametrize(
    ("words", "idle", "most"),
    [
        (["--version"], set(), 5),
        (["help", "check"], set(), 13),
        (["completion", "bash"], {"policyc.cli.images"}, 45),
        (["check", "vm.pol"], {"policyc.proof.kvm"}, 98),
        (["compile", "vm.pol"], {"policyc.proof.kvm", "policyc.bundle.read", "policyc.bundle.folder"}, 115),
        (["test", "vm.pol"], {"policyc.targets.traps"}, 80),
        (["explain", "vm.pol", "in", "0x60"], {"policyc.targets.traps"}, 80),
        (["fmt", "--check", "vm.pol"], {"policyc.cli.rewriting", "policyc.reports.cells"}, 42),
        (["msr", "IA32_EFER"], set(), 36),
        (["port", "COM1"], set(), 36),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_command_imports_no_module_of_which_it_runs_nothing(
    words: list[str], idle: set[str], most: int, tmp_path: Path
) -> None:
    """The policy has something of everything. idle: what makes images, reads a filter
    or an old bundle, or writes a file that must change."""
    write(tmp_path)
    found = listed(tmp_path, *words)
    assert found.idle - TYPES - SPARE - idle == set()
    assert len(found.all) <= most, sorted(found.all)


def test_plain_rules_need_neither_typing_nor_openssl_nor_words_for_what_they_do_not_say(tmp_path: Path) -> None:
    (tmp_path / "plain.pol").write_text("language 1\ndefault passthrough\nintercept io 0x10 -> drop\n")
    found = modules_of("check", "plain.pol", cwd=tmp_path)
    assert "policyc.proof.prove" in found
    costly = {"typing", "hashlib", "_hashlib", "contextlib", "textwrap", "dataclasses", "argparse", "pathlib"}
    needless = {f"policyc.semantics.{name}" for name in ("claims", "outcomes", "clash_reports")}
    needless |= {f"policyc.syntax.{name}" for name in ("waivers", "errors", "format")}
    assert found & (costly | needless) == set()


def test_the_policy_of_this_test_has_what_makes_a_module_work() -> None:
    for word in ("when", "on vcpu", "profile", "assert", "never allow", "test ", "let const", "forward("):
        assert word in TEXT
