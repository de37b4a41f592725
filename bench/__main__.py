"""Measures policyc: ``python -m bench [NAME ...]`` prints a table, writes JSON and plots, and compares with the commit before.

The same files measure both commits, the other one from a worktree of git's that is removed again. Exit code 1: a promise
is broken, or instructions grew by more than a quarter.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from bench.common import figures
from bench.common.cost import clean, root
from bench.common.figures import Figure, Result

BENCHES = ("startup", "growth", "scale", "lsp", "dispatch", "run", "exec")
"""Modules of this package that have the interface that its docstring describes, in the order of the table."""

HERE = Path(__file__).parents[1]


def main(words: Sequence[str] | None = None) -> int:
    args = _arguments(words)
    results, plots, lacking = measure(args.names or BENCHES, args.quick)
    before = None
    against = args.against or previous()
    if against != "none":
        with tempfile.TemporaryDirectory() as folder, checkout(against, Path(folder)) as other:
            before = elsewhere(other, list(results), args.quick, Path(folder))
    print(figures.table(results, before))
    for line in lacking:
        print(line)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(figures.to_json(results, about()), encoding="ascii")
    args.plots.mkdir(parents=True, exist_ok=True)
    for name, text in plots.items():
        (args.plots / name).write_text(text, encoding="ascii")
    worse = figures.grown(results, before or {})
    for line in worse:
        print(f"{line}: more than {figures.GROWTH:g} times what it was at the commit before")
    return int(bool(worse) or any(each.over for found in results.values() for each in found))


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], metavar="NAME", help=f"of {', '.join(BENCHES)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a first look")
    parser.add_argument("--against", metavar="REVISION", help="the commit to compare with; `none` compares with none")
    output = HERE / "build" / "bench"
    parser.add_argument("--json", metavar="FILE", type=Path, default=output / "bench.json", help="all figures")
    parser.add_argument("--plots", metavar="DIR", type=Path, default=output, help="SVG; the pages' own are in docs/")
    return parser.parse_args(words)


def measure(names: Sequence[str], quick: bool) -> tuple[dict[str, tuple[Figure, ...]], dict[str, str], list[str]]:
    """Figures by bench, plots by file name, and a line for each bench that cannot run here."""
    results: dict[str, tuple[Figure, ...]] = {}
    plots: dict[str, str] = {}
    lacking = []
    for name in names:
        bench = import_module(f"bench.{name}")
        missing = bench.lacking()
        if missing:
            lacking.append(f"{name}: not measured, needs {missing}")
            continue
        print(f"{name}: {bench.SUMMARY} ...", file=sys.stderr, flush=True)
        found: Result = bench.result(quick)
        results[name] = found.figures
        plots.update(found.plots)
    return results, plots, lacking


def previous() -> str:
    """The commit before what is measured: HEAD where files are changed, else the one before it; ``none`` if none is."""
    if not (root() / ".git").exists():
        return "none"
    if git("status", "--porcelain", "--untracked-files=no"):
        return "HEAD"
    return "HEAD~1" if len(git("rev-list", "--max-count=2", "HEAD").split()) == 2 else "none"


def git(*words: str | Path) -> str:
    done = subprocess.run(["git", "-C", root(), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"git {' '.join(map(str, words))}: {done.stderr.strip()}; --against none needs no git")
    return done.stdout.strip()


@contextmanager
def checkout(revision: str, folder: Path) -> Iterator[Path]:
    """A worktree of another commit."""
    place = folder / "before"
    git("worktree", "add", "--quiet", "--detach", place, revision)
    try:
        yield place
    finally:
        git("worktree", "remove", "--force", place)


def elsewhere(other: Path, names: Sequence[str], quick: bool, folder: Path) -> figures.Results:
    """What these benches find of the policyc in another checkout; nothing for one that cannot measure it."""
    (folder / "bench").symlink_to(HERE / "bench")
    found: dict[str, Sequence[Figure]] = {}
    for name in names:
        json = folder / f"{name}.json"
        words: list[str | Path] = [
            sys.executable,
            "-m",
            "bench",
            name,
            "--against",
            "none",
            "--json",
            json,
            "--plots",
            folder / "plots",
        ]
        environ = clean(PYTHONPATH=str(other))
        subprocess.run([*words, *["--quick"] * quick], cwd=folder, env=environ, stdout=subprocess.DEVNULL, check=False)
        if json.exists():
            found.update(figures.from_json(json.read_text(encoding="ascii")))
    return found


def about() -> dict[str, str]:
    """What the figures depend on."""
    commit = git("describe", "--always", "--dirty") if (root() / ".git").exists() else "no repository"
    return {
        "commit": commit,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
    }


if __name__ == "__main__":
    sys.exit(main())
