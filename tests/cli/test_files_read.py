"""What a command reads: the package, Python, and the files it is given. No cache, and nothing pickled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.sample import write

ROOT = Path(__file__).parents[2]

WATCH = """
import os, sys
seen = []
def look(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and not arguments[2] & (3 | os.O_DIRECTORY):  # to read it
        seen.append(f"read {arguments[0]}")
    elif event == "pickle.find_class":
        seen.append(event)
sys.addaudithook(look)
from policyc.cli import frame
frame.run(sys.argv[1:])
print(*seen, sep="\\n", file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words",
    [
        ["check", "vm.pol"],
        ["compile", "vm.pol", "-o", "new.bundle"],
        ["lint", "vm.pol"],
        ["fmt", "--check", "vm.pol"],
        ["explain", "vm.pol", "in", "0x60"],
        ["msr", "EFER"],
    ],
    ids=lambda words: words[0],
)
def test_a_command_reads_nothing_but_the_package_and_what_it_is_given(words: list[str], tmp_path: Path) -> None:
    """Not even where a cache of lark's, or of anybody's, would lie: HOME and TMPDIR are folders full of such files."""
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    for place in (home / ".cache" / "policyc", home / ".cache" / "lark"):
        place.mkdir(parents=True)
        (place / "cache.pickle").write_bytes(b"cos\nsystem\n(S'touch stolen'\ntR.")
    write(work)
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *words], capture_output=True, text=True, cwd=work, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "TMPDIR": str(home)},
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    read = [line.removeprefix("read ") for line in done.stderr.splitlines() if line.startswith("read ")]
    own = (str(ROOT / "policyc"), str(ROOT / "grammars"), str(ROOT / "templates"), sys.prefix, sys.base_prefix)
    own += tuple(folder for folder in sys.path if folder and Path(folder) != ROOT)
    others = {name for name in read if not name.startswith(own) and not name.startswith("/proc/")}
    assert {os.path.basename(name) for name in others} <= {"vm.pol"}
    assert "pickle.find_class" not in done.stderr
    assert not (work / "stolen").exists()


def test_no_module_of_the_package_could_read_a_pickle_or_let_lark_cache_one() -> None:
    """But for the answers of its own forked processes, which come over pipes."""
    pipes = ROOT / "policyc" / "cli" / "workers.py"
    assert "open(" not in pipes.read_text(encoding="utf-8").replace("fdopen(", "")
    for file in {*(ROOT / "policyc").rglob("*.py")} - {pipes}:
        text = file.read_text(encoding="utf-8")
        for word in ("import pickle", "import marshal", "import shelve", "from pickle", "from marshal", "cache=True"):
            assert word not in text, f"{file}: {word}"
