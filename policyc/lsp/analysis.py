"""One policy as an editor has it: what is wrong with it, and what its names mean, however wrong it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from policyc import pipeline
from policyc.bundle.layout import FileEntry
from policyc.database.names import Database
from policyc.imports import FileLoader
from policyc.semantics.modules import MAIN, Loaded
from policyc.semantics.policy import DecisionMap, Policy, Variant
from policyc.semantics.resolve import Resolver, Written, read_policy
from policyc.semantics.scope import Scope
from policyc.syntax.files import read_file
from policyc.syntax.parser import parse
from policyc.syntax.reader import decode
from policyc.targets.registry import NAMES
from policyc.vocabulary.diagnostic import ERROR, Diagnostic, PolicyError, UnreadableError


class Analysis(NamedTuple):
    """path: of the main file. errors: what keeps it from compiling. policy, maps: where it resolves, where it holds
    together. targets: those it is for, then. database: what its names were looked up in."""

    path: str
    errors: tuple[Diagnostic, ...]
    written: Written
    database: Database
    policy: Policy | None = None
    maps: Mapping[Variant, DecisionMap] | None = None
    targets: tuple[str, ...] = ()

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


def analyse(path: str, texts: Mapping[str, str], database: Database) -> Analysis:
    """Everything that is an error in a policy. texts: of open files, by path.

    Warnings are lint's affair here: settings and waivers decide about them.
    """
    nothing = Written((), {})
    try:
        data = texts[path].encode() if path in texts else read_file(path)
        source = decode(path, data)
    except PolicyError as reason:
        return Analysis(path, reason.diagnostics, nothing, database)
    except UnreadableError:
        return Analysis(path, (), nothing, database)
    module, problems = parse(source)
    loader = FileLoader(path, {name: text.encode() for name, text in texts.items() if name != path})
    where = pipeline.recorded(path)
    read = read_policy(
        Loaded(MAIN, path, where, module),
        loader,
        Resolver(database, NAMES, problems),
        where.removesuffix(".pol") or where,
    )
    found = _errors(read.diagnostics)
    if read.policy is None:
        return Analysis(path, found, read.written, database)
    front = pipeline.Front(read.policy, read.diagnostics, (FileEntry(where, len(data), source.digest),), read.written)
    try:
        judged = pipeline.judge(front, database)
    except PolicyError as reason:
        return Analysis(path, _errors(reason.diagnostics), read.written, database, read.policy)
    return Analysis(path, (), read.written, database, read.policy, judged.maps, judged.selection.targets)


def _errors(found: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    return tuple(each for each in found if each.severity == ERROR)
