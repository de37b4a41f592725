"""``policyc diff --since git:REVISION PATH...``: every policy that a branch has changed, one after the other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from policyc.cli import subjects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from policyc.database.names import Database

NOTHING = b"language 1\ndefault exit\n"
"""What a policy that is new is compared with: it opens all that it passes on."""


class Changed(NamedTuple):
    """A policy whose file is new, or that has one in the revision: of the same path, or of the path ``was``, where git
    calls it renamed. refused: why it cannot be compared."""

    path: str
    old: subjects.Subject | None
    new: subjects.Subject | None
    refused: Exception | None = None
    was: str | None = None


class Since(NamedTuple):
    """gone: paths of policies that the branch deleted."""

    changed: tuple[Changed, ...]
    gone: tuple[str, ...]


def collect(revision: str, words: Sequence[str], names: Database) -> Since:
    """The policies below the paths, without those that are parts of others, and what they were.

    revision: with ``git:`` before it; the one that the branch left, or any that came after it on the other side: what counts is the last common
    one. Raises UnreadableError where git cannot answer.
    """
    from policyc.cli.many import find
    from policyc.cli.parser import UsageError

    name = revision.removeprefix(subjects.GIT)
    if not name or name.startswith("-") or ":" in name:
        raise UsageError(f"`{revision}` names no revision", "write git: and a branch, a tag or a commit: git:main")
    base = subjects.git(".", "merge-base", name, "HEAD").decode().strip()
    there = set(_listed("ls-tree", "-r", "-z", "--name-only", base, "--", *words))
    touched, renamed = _touched(base)
    found = find(list(words))
    loaded = {path: _load(path, names) for path in found.paths}
    parts = {
        os.path.normpath(module.name)
        for each in loaded.values()
        if isinstance(each, subjects.Subject) and each.side is not None
        for module in each.side.policy.modules[1:]
    }
    kept = [path for path in found.paths if path not in found.walked or os.path.normpath(path) not in parts]
    changed = tuple(
        _changed(base, path, loaded[path], there, renamed, names)
        for path in kept
        if any(each in touched or each not in there for each in _files(path, loaded[path]))
    )
    moved = {renamed[path] for path in map(_here, found.paths) if path in renamed}
    gone = (path for path in sorted(there - moved) if path.endswith(".pol") and not os.path.exists(path))
    return Since(changed, tuple(gone))


def _touched(base: str) -> tuple[set[str], dict[str, str]]:
    """The files that differ from a commit's, and of those that git calls renamed the old path, by the new one."""
    top = subjects.git(".", "rev-parse", "--show-toplevel").decode(errors="surrogateescape").rstrip("\n")
    words = _listed("diff", "--name-status", "--find-renames", "-z", base, folder=top)
    touched, renamed = set(), {}
    for status in words:
        path = _here(os.path.join(top, next(words)))
        if status.startswith("R"):
            old, path = path, _here(os.path.join(top, next(words)))
            renamed[path] = old
        touched.add(path)
    return touched, renamed


def _here(path: str) -> str:
    """A path as git calls it from the current folder."""
    return os.path.relpath(path).replace(os.sep, "/")


def _listed(*words: str, folder: str = ".") -> Iterator[str]:
    return (each.decode(errors="surrogateescape") for each in subjects.git(folder, *words).split(b"\0") if each)


def _load(path: str, names: Database) -> subjects.Subject | Exception:
    from policyc.vocabulary.diagnostic import PolicyError, UnreadableError

    try:
        return subjects.Subject(path, subjects.policy_side(path, names))
    except (PolicyError, UnreadableError) as reason:
        return reason


def _files(path: str, loaded: subjects.Subject | Exception) -> list[str]:
    """A policy's own files, as git calls them from here."""
    modules: list[str] = []
    if isinstance(loaded, subjects.Subject) and loaded.side is not None:
        modules = [each.name for each in loaded.side.policy.modules if not each.path.startswith("std/")]
    return [_here(each) for each in (path, *modules)]


def _changed(
    base: str,
    path: str,
    new: subjects.Subject | Exception,
    there: set[str],
    renamed: Mapping[str, str],
    names: Database,
) -> Changed:
    from policyc.vocabulary.diagnostic import PolicyError, UnreadableError

    if isinstance(new, Exception):
        return Changed(path, None, None, new)
    was = renamed.get(_here(path))
    inside = was or _here(path)
    if was is None and inside not in there:
        from policyc import pipeline
        from policyc.analyses.diff import side

        empty = pipeline.front("nothing", database=names, buffers={"nothing": NOTHING}).policy
        return Changed(path, subjects.Subject("nothing", side(empty)), new)
    try:
        return Changed(path, subjects.load(f"{subjects.GIT}{base[:12]}:./{inside}", names), new, None, was)
    except (PolicyError, UnreadableError) as reason:
        return Changed(path, None, new, reason, was)
