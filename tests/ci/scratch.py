"""Scratch repositories for real git, pre-commit and the steps of pipelines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.demand import need_git

ROOT = Path(__file__).parents[2]
FINE = "language 1\ntarget vmx\ndefault exit\nallow msr { IA32_FS_BASE, IA32_GS_BASE, IA32_KERNEL_GS_BASE }\n"
RISKY = FINE + "\nallow msr IA32_FEATURE_CONTROL\n"


def environment(folder: Path) -> dict[str, str]:
    """Nothing of the user's settings, and a `policyc` on the path that is this checkout."""
    tools = folder / "tools"
    if not tools.exists():
        tools.mkdir()
        (tools / "policyc").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m policyc "$@"\n')
        (tools / "policyc").chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "PRE_COMMIT", "POLICYC"))}
    return {
        **kept,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "PRE_COMMIT_HOME": str(folder / "cache"),
        **{f"GIT_{who}_{what}": "a@b.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }


class Repository:
    """A git repository below a folder of its own."""

    def __init__(self, folder: Path, name: str = "user") -> None:
        need_git()
        self.path = folder / name
        self.path.mkdir()
        self.around = environment(folder)
        self.git("init", "-q", "-b", "main")

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=self.path, env={**self.around, **more}, capture_output=True, text=True, check=False
        )

    def git(self, *words: str) -> str:
        done = self.run("git", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, **files: str | bytes | None) -> str:
        """Write the files (``__`` in a name stands for ``/``, ``_pol`` for ``.pol``), commit all, give the revision."""
        for name, data in files.items():
            path = self.path / name.replace("__", "/").replace("_pol", ".pol").replace("_bin", ".bin")
            path.parent.mkdir(parents=True, exist_ok=True)
            if data is None:
                path.unlink()
            else:
                path.write_bytes(data.encode() if isinstance(data, str) else data)
        self.git("add", "-A")
        self.git("commit", "-qm", "change", "--allow-empty")
        return self.git("rev-parse", "HEAD").strip()


def product(folder: Path) -> Repository:
    """policyc's own files as a repository, as far as installing and the hooks need them."""
    made = Repository(folder, "policyc")
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("policyc", "grammars", "templates", "runtime"):
        shutil.copytree(ROOT / name, made.path / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml"):
        shutil.copy(ROOT / name, made.path / name)
    made.git("add", "-A")
    made.git("commit", "-qm", "all")
    return made
