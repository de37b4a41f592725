"""The policies that an editor's texts belong to: who imports whom, and what is wrong with each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from policyc.cli.lintconfig import Configs
from policyc.database.names import Database, load
from policyc.imports import STD
from policyc.lsp.analysis import Analysis, Session
from policyc.lsp.documents import Document
from policyc.lsp.tell import moved
from policyc.resources import folder
from policyc.syntax import tree
from policyc.syntax.files import read_file
from policyc.vocabulary.diagnostic import Diagnostic, PolicyError, UnreadableError
from policyc.vocabulary.span import Source

MOST_FILES = 1000
"""Policies below the editor's folders that are looked at for imports."""
MOST_ROOTS = 8
"""Policies that are checked again when a file changes that all of them import."""

_LARGEST_LOOKED_AT = 1 << 20
_LARGEST_DATABASE = 4 << 20
_IMPORT = re.compile(r'^[ \t]*import[ \t]+"([^"\r\n]+)"', re.MULTILINE)


class Project:
    """What is open, what was found wrong, and what the folders hold. database: files of ``--db``.

    moved: an import has come or gone since ``settle``, so that open texts may belong to other policies.
    """

    def __init__(self, database: Sequence[str]) -> None:
        self.database_files = tuple(database)
        self.documents: dict[str, Document] = {}
        self.analyses: dict[str, Analysis] = {}
        self._sessions: dict[str, Session] = {}
        self.reviews: dict[str, list[Diagnostic]] = {}
        self.complaint = ""
        self.moved = False
        self._folders: dict[str, None] = {}
        self._imports: dict[str, frozenset[str]] = {}
        self._databases: dict[tuple[object, ...], Database] = {}

    # texts

    @property
    def texts(self) -> dict[str, str]:
        """The text of every open file, by path."""
        return {each.path: each.source.text for each in self.documents.values() if not each.too_large}

    def document(self, path: str) -> Document | None:
        """The open text of a file."""
        return next((each for each in self.documents.values() if each.path == path), None)

    def source(self, path: str) -> Source | None:
        """The text of a file: as it is open, else as it was read for an analysis, else as it lies on the disk."""
        document = self.document(path)
        if document is not None:
            return document.source
        for analysis in self.analyses.values():
            loaded = analysis.file(path)
            if loaded is not None:
                return loaded.module.source
        with suppress(UnreadableError, UnicodeDecodeError):
            return Source(path, read_file(self.place(path)).decode("utf-8-sig"))
        return None

    def place(self, path: str) -> str:
        """Where a file lies that messages call ``path``."""
        if path.startswith(f"{STD}/"):
            return os.path.join(folder(STD), path.removeprefix(f"{STD}/"))
        return path

    # who imports whom

    def look(self, below: str) -> None:
        """Read the imports of the policies below a folder; once, until ``forget``."""
        if below in self._folders:
            return
        self._folders[below] = None
        for path in _policies(below, MOST_FILES - len(self._imports)):
            self._look_at(path)

    def forget(self) -> None:
        """Files on the disk have changed. Of open files their texts count, of those outside the folders that they exist."""
        before, folders, self._folders, self._imports = self._imports, list(self._folders), {}, {}
        for each in folders:
            self.look(each)
        open_ = {each.path for each in self.documents.values()}
        for path, targets in before.items():
            if path in open_ or (path not in self._imports and os.path.exists(path)):
                self._imports[path] = targets
        self.moved = True

    def closed(self, path: str) -> None:
        """A file is what lies on the disk again: other imports, or nothing."""
        self._imports.pop(path, None)
        self._look_at(path)
        self.moved = True

    def _look_at(self, path: str) -> None:
        with suppress(UnreadableError):
            text = read_file(path, _LARGEST_LOOKED_AT).decode("utf-8", "replace")
            self._imports.setdefault(path, _targets(path, _IMPORT.findall(text)))

    def roots(self, path: str, most: int = MOST_ROOTS) -> list[str]:
        """The policies that a file is part of: those that import it, directly or not, and are not imported; else itself."""
        importers: dict[str, list[str]] = {}
        for importer, targets in self._imports.items():
            for each in targets:
                importers.setdefault(each, []).append(importer)
        seen, found, left = {path}, [], [path]
        while left:
            above = importers.get(each := left.pop(), ())
            if not above and each != path:
                found.append(each)
            for one in above:
                if one not in seen:
                    seen.add(one)
                    left.append(one)
        return sorted(found)[:most] or [path]

    def _learn(self, analysis: Analysis) -> None:
        for loaded in analysis.written.modules:
            if not loaded.name.startswith(f"{STD}/"):
                paths = [each.path.value for each in loaded.module.statements if isinstance(each, tree.Import)]
                targets = _targets(loaded.name, paths)
                if self._imports.get(loaded.name) != targets:
                    self._imports[loaded.name] = targets
                    self.moved = True

    def settle(self) -> tuple[list[str], list[str]]:
        """Analysed policies that no open text belongs to any more, and policies of open texts that were not analysed."""
        self.moved = False
        wanted = dict.fromkeys(root for each in self.documents.values() for root in self.roots(each.path))
        gone = [each for each in self.analyses if each not in wanted]
        return gone, [each for each in wanted if each not in self.analyses]

    def touched(self, path: str) -> list[str]:
        """The policies to check when a file's text changes: its roots, and others that were found to read it (a cycle)."""
        readers = (root for root, each in self.analyses.items() if each.file(path) is not None)
        return list(dict.fromkeys((*self.roots(path), *readers)))

    # what is wrong

    def analyse(self, root: str) -> Analysis:
        """Check one policy, and keep the result."""
        before = self.analyses.get(root)
        session = self._sessions.setdefault(root, Session(root))
        now = session.analyse(self.texts, self.database(root))
        if not now.written.modules and not now.errors and self.document(root) is None:  # It was deleted.
            self._imports.pop(root, None)
            self.moved = True
        elif before is not None and not now.written.modules:  # No text at all: go on with the names of the last one.
            now.written = before.written
        self.analyses[root] = now
        self._learn(now)
        return now

    def of(self, path: str) -> Analysis | None:
        """An analysis in which a file takes part."""
        for root in self.roots(path):
            analysis = self.analyses.get(root)
            if analysis is not None and analysis.file(path) is not None:
                return analysis
        return next((each for each in self.analyses.values() if each.file(path) is not None), None)

    def found(self, path: str) -> list[Diagnostic]:
        """All that is known to be wrong in one file: errors of every policy that it is part of, and lint's findings."""
        out: dict[tuple[object, ...], Diagnostic] = {}
        for root, analysis in self.analyses.items():
            for each in (*analysis.errors, *self.reviews.get(root, ())):
                if each.primary is not None and each.primary.span.source.name == path:
                    span = each.primary.span
                    out.setdefault((each.code, each.message, *span.source.position(span.start)), each)
        return sorted(out.values(), key=Diagnostic.sort_key)

    def edited(self, old: Source, new: Source) -> None:
        """Let lint's findings about a text follow it until there are new ones."""
        for root, found in self.reviews.items():
            if any(each.primary is not None and each.primary.span.source is old for each in found):
                self.reviews[root] = moved(found, old, new)

    def drop(self, root: str) -> list[str]:
        """Forget a policy that no open text belongs to; its files."""
        analysis = self.analyses.pop(root, None)
        self._sessions.pop(root, None)
        self.reviews.pop(root, None)
        return [] if analysis is None else analysis.paths

    # names

    def database(self, root: str) -> Database:
        """The database with the files of the command line and of the settings that count for a policy.

        A file that cannot be used is left out; ``complaint`` says why.
        """
        files = self.database_files
        try:
            files = (*files, *Configs(None, False).above(root).database)
            key = tuple((each, os.stat(each).st_mtime_ns) for each in files)
            if key not in self._databases:
                self._databases[key] = database_of(files)
            self.complaint = ""
            return self._databases[key]
        except PolicyError as reason:
            self.complaint = reason.diagnostics[0].message
        except (OSError, UnreadableError) as reason:
            self.complaint = str(reason)
        return self._databases.setdefault((), load())


def database_of(files: Iterable[str]) -> Database:
    """The built-in database with users' files. Raises UnreadableError, PolicyError."""
    texts = []
    for path in dict.fromkeys(files):
        try:
            texts.append((path, read_file(path, _LARGEST_DATABASE).decode("utf-8-sig")))
        except UnicodeDecodeError:
            raise UnreadableError(f"cannot read {path}: it is not UTF-8 text") from None
    return load(tuple(texts))


def _targets(path: str, imports: Iterable[str]) -> frozenset[str]:
    """Paths of the files that a file imports, those that come with policyc left out."""
    base = os.path.dirname(path)
    own = (each for each in imports if not each.startswith(f"{STD}/") and not os.path.isabs(each))
    return frozenset(os.path.normpath(os.path.join(base, each)) for each in own)


def _policies(below: str, most: int) -> Iterator[str]:
    """The first policies below a folder; hidden folders are left out, links to folders not followed."""
    looked = 0
    for where, folders, files in os.walk(below):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        looked += len(files) + 1
        for each in sorted(files):
            if each.endswith(".pol"):
                if most <= 0:
                    return
                most -= 1
                yield os.path.join(where, each)
        if looked > 20 * MOST_FILES:
            return
