"""One policy as an editor has it: what is wrong with it, and what its names mean, however wrong it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property

from policyc.database.names import Database
from policyc.imports import FileLoader, read_module
from policyc.lsp.rejudge import Judged, judge
from policyc.pipeline import recorded
from policyc.semantics.decide import decide_all
from policyc.semantics.modules import MAIN, Loaded
from policyc.semantics.policy import DecisionMap, Policy, Variant
from policyc.semantics.reresolve import AgainResolver, Memory
from policyc.semantics.resolve import Written, read_policy
from policyc.semantics.scope import Scope
from policyc.syntax import tree
from policyc.syntax.files import read_file
from policyc.syntax.reparse import EditedText
from policyc.targets.registry import NAMES
from policyc.vocabulary.diagnostic import ERROR, Diagnostic, PolicyError, UnreadableError
from policyc.vocabulary.span import Source


class Analysis:
    """path: of the main file. errors: what keeps it from compiling. policy: None where it does not resolve. targets:
    those it is for, where it holds together. database: what its names were looked up in."""

    def __init__(
        self, path: str, errors: tuple[Diagnostic, ...], written: Written, database: Database,
        policy: Policy | None = None, judged: Judged | None = None,
    ) -> None:  # fmt: skip
        self.path = path
        self.errors = errors
        self.written = written
        self.database = database
        self.policy = policy
        self._judged = judged
        self.targets = () if judged is None else judged.targets

    @cached_property
    def maps(self) -> Mapping[Variant, DecisionMap] | None:
        """What the policy decides; None where it has errors."""
        if self._judged is None or self._judged.errors:
            return None
        return self._judged.maps or decide_all(self._judged.policy)

    def file(self, path: str) -> Loaded | None:
        """The file of the policy at a path."""
        return next((each for each in self.written.modules if each.name == path), None)

    def scope(self, path: str) -> Scope | None:
        """What names mean in the file at a path."""
        loaded = self.file(path)
        return None if loaded is None else self.written.scopes[loaded.key]

    @property
    def paths(self) -> list[str]:
        """The policy's files, the main one first."""
        return [each.name for each in self.written.modules] or [self.path]


class Session:
    """One policy over many edits: each analysis uses what the one before has found out."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.files = Files()
        self._memory = Memory()
        self._judged: Judged | None = None
        self._database: Database | None = None

    def analyse(self, texts: Mapping[str, str], database: Database) -> Analysis:
        """Everything that is an error in the policy. texts: of open files, by path.

        Warnings are lint's affair here: settings and waivers decide about them.
        """
        if database is not self._database:
            self._database, self._memory, self._judged = database, Memory(), None
        nothing = Written((), {})
        try:
            module, problems = self.files.read(self.path, self.path, texts)
        except PolicyError as reason:
            return Analysis(self.path, reason.diagnostics, nothing, database)
        except UnreadableError:
            return Analysis(self.path, (), nothing, database)
        where = recorded(self.path)
        main = Loaded(MAIN, self.path, where, module)
        resolver = AgainResolver(database, NAMES, problems, self._memory)
        loader = Loader(self.path, texts, self.files)
        read = read_policy(main, loader, resolver, where.removesuffix(".pol") or where)
        errors = tuple(each for each in read.diagnostics if each.severity == ERROR)
        if read.policy is None:
            return Analysis(self.path, errors, read.written, database)
        self._judged = judge(read.policy, self._memory.rules, database, self._judged)
        return Analysis(self.path, self._judged.errors, read.written, database, read.policy, self._judged)


class Files:
    """The files of a policy as they were read last."""

    def __init__(self) -> None:
        self._edited: dict[str, EditedText] = {}
        self._closed: dict[str, tuple[object, tree.Module, list[Diagnostic]]] = {}

    def read(self, name: str, place: str, texts: Mapping[str, str]) -> tuple[tree.Module, list[Diagnostic]]:
        """The module of a file, and what is wrong with it. name: what messages call it. place: where it lies.

        Raises PolicyError for what is no text, UnreadableError.
        """
        if name in texts:
            self._closed.pop(name, None)
            return self._edited.setdefault(name, EditedText(name)).read(texts[name])
        stamp = _stamp(place)
        kept = self._closed.get(name)
        if kept is None or kept[0] != stamp or stamp is None:
            source, module, problems = read_module(name, read_file(place))
            del source
            kept = self._closed[name] = (stamp, module, problems)
        self._edited.pop(name, None)
        return kept[1], list(kept[2])


class Loader(FileLoader):
    """A FileLoader that reads a file again only if it has changed."""

    def __init__(self, main: str, texts: Mapping[str, str], files: Files) -> None:
        super().__init__(main)
        self.texts = texts
        self.files = files

    def load(self, key: str) -> tuple[Loaded, list[Diagnostic]]:
        name, place = self.named(key)
        try:
            module, problems = self.files.read(name, place, self.texts)
        except UnreadableError as reason:
            raise self.unreadable(name, reason) from None
        except PolicyError as refused:
            module, problems = tree.Module(Source(name, ""), (), (), ()), list(refused.diagnostics)
        self.count(len(module.source.text))
        return Loaded(key, name, key, module), problems


def _stamp(place: str) -> object:
    with suppress(OSError, ValueError):
        found = os.stat(place)
        return found.st_mtime_ns, found.st_size, found.st_ino
    return None


def analyse(path: str, texts: Mapping[str, str], database: Database) -> Analysis:
    """A policy that nobody edits."""
    return Session(path).analyse(texts, database)
