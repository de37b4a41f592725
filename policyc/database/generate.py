"""Makes ``_index.py`` and ``_texts.py`` from msr/*.yaml and port/*.yaml, so that no run of policyc reads YAML.

``python -m policyc.database.generate`` rewrites both; tests/database fails when they are not what the YAML gives.
Reading the YAML costs some 300 ms, loading the finished index 1 ms; the texts are loaded by look-ups alone.
"""

from __future__ import annotations

import os
from itertools import pairwise

from policyc.database.entry import VERSION, Entry
from policyc.database.read import Placed, clashes, entries
from policyc.vocabulary.access import IO, MSR
from policyc.vocabulary.diagnostic import Diagnostic, PolicyError, error
from policyc.vocabulary.digest import sha256
from policyc.vocabulary.span import Source

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDERS = {MSR: "msr", IO: "port"}
_BANNER = '"""Made by policyc.database.generate from {}/*.yaml. Do not edit: change the YAML, rerun."""'


def sources() -> list[Source]:
    """Every YAML file of the built-in database, in the order of their names."""
    found = []
    for folder in FOLDERS.values():
        path = os.path.join(HERE, folder)
        for name in sorted(os.listdir(path)) if os.path.isdir(path) else ():
            if name.endswith(".yaml"):
                with open(os.path.join(path, name), encoding="utf-8", newline="\n") as stream:
                    found.append(Source(f"{folder}/{name}", stream.read()))
    return found


def read(files: list[Source]) -> list[Entry]:
    """All entries, MSRs first, by number; PolicyError with every mistake of the files."""
    problems: list[Diagnostic] = []
    placed: list[Placed] = []
    for source in files:
        mine = entries(source, problems)
        space = MSR if source.name.startswith(FOLDERS[MSR]) else IO
        for before, after in pairwise(mine):
            if after.entry.lo < before.entry.lo:
                helps = ("entries stand in the order of their numbers",)
                said = f"{after.entry.name} ({after.entry.lo:#x}) stands after {before.entry.name}"
                problems.append(error("D002", said, after.span, helps=helps))
        for each in mine:
            if each.entry.space != space:
                problems.append(error("D002", f"{each.entry.name} belongs in the other folder", each.span))
        placed += mine
    clashes((), placed, problems, numbers=True)
    if problems:
        raise PolicyError(problems)
    return sorted((each.entry for each in placed), key=lambda each: (each.space == IO, each.lo, each.hi, each.name))


def digest(files: list[Source]) -> str:
    """SHA-256 of the files' names and texts."""
    whole = sha256()
    for source in files:
        whole.update(f"{source.name}\0{source.text}\0".encode())
    return whole.hexdigest()


def index(found: list[Entry]) -> str:
    """The text of ``_index.py``."""
    lines = [
        _BANNER.format("{msr,port}"),
        "",
        "# fmt: off",
        "# ruff: noqa",
        "",
        f"SOURCES = {digest(sources())!r}",
        '"""SHA-256 of the YAML, as policyc.database.generate.digest has it."""',
        f"VERSION = {VERSION!r}",
        f"NAMES = {sum(len(each.names()) for each in found)}",
        "",
        "# (name, first address, last of a range, members, stride, access, vendor, models, tags, aliases)",
    ]
    for space, title in ((MSR, "MSRS"), (IO, "PORTS")):
        lines.append(f"{title} = (")
        lines += (f"    {_row(each)}," for each in found if each.space == space)
        lines += [")", ""]
    return "\n".join(lines)


def _row(entry: Entry) -> str:
    numbers = f"{entry.lo:#x}, {entry.hi:#x}, {entry.members}, {entry.stride}"
    words = (entry.access, entry.vendor, entry.models, " ".join(entry.tags), " ".join(entry.aliases))
    return f'("{entry.name}", {numbers}, {", ".join(map(_quoted, words))})'


def texts(found: list[Entry]) -> str:
    """The text of ``_texts.py``: about and source, in the order of ``_index.py``."""
    lines = [_BANNER.format("{msr,port}"), "", "# fmt: off", "# ruff: noqa", ""]
    for space, title in ((MSR, "MSRS"), (IO, "PORTS")):
        lines.append(f"{title} = (")
        lines += (f"    ({_quoted(each.about)}, {_quoted(each.source)})," for each in found if each.space == space)
        lines += [")", ""]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main() -> None:
    found = read(sources())
    for name, text in (("_index.py", index(found)), ("_texts.py", texts(found))):
        with open(os.path.join(HERE, name), "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)


if __name__ == "__main__":
    main()
