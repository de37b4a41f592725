"""Where the names of a policy's own things stand: sets, constants, modules, profiles, labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from policyc.lsp.analysis import Analysis
from policyc.semantics.modules import Loaded, alias_of
from policyc.semantics.scope import Scope
from policyc.syntax import tree
from policyc.vocabulary.span import Span

LET, MODULE, PROFILE, LABEL = "let", "module", "profile", "label"

_OTHER_NAMES = frozenset({"forward", "inject"})
"""Actions whose arguments are names of something else: of C functions, of exceptions."""


class Symbol(NamedTuple):
    """What a name stands for. path: of the file that defines it."""

    kind: str
    path: str
    name: str


class Occurrence(NamedTuple):
    """A place where a symbol's name stands. implied: the path of an import without ``as``, which gives the name."""

    symbol: Symbol
    span: Span
    definition: bool = False
    implied: bool = False


def occurrences(analysis: Analysis, loaded: Loaded, statements: Iterable[tree.Statement]) -> Iterator[Occurrence]:
    """Every occurrence in some statements of one file."""
    finder = _Finder(analysis, loaded)
    for each in statements:
        yield from finder.statement(each)


class _Finder:
    def __init__(self, analysis: Analysis, loaded: Loaded) -> None:
        self.path = loaded.name
        self.scope = analysis.written.scopes[loaded.key]
        self.main = analysis.path
        self.paths = {id(analysis.written.scopes[each.key]): each.name for each in analysis.written.modules}

    def statement(self, node: tree.Statement | tree.Case) -> Iterator[Occurrence]:
        if isinstance(node, tree.Import):
            span = node.path.span if node.alias is None else node.alias.span
            yield Occurrence(self.symbol(MODULE, alias_of(node)), span, True, node.alias is None)
        elif isinstance(node, tree.LetSet | tree.LetConst):
            yield Occurrence(self.symbol(LET, node.name.text), node.name.span, True)
        elif isinstance(node, tree.Rule) and node.label is not None:
            yield Occurrence(self.symbol(LABEL, node.label.text), node.label.span, True)
        elif isinstance(node, tree.Profile):
            yield Occurrence(Symbol(PROFILE, self.main, node.name.text), node.name.span, True)
            yield from (Occurrence(Symbol(PROFILE, self.main, each.text), each.span) for each in node.parents)
            for inner in node.body:
                yield from self.statement(inner)
            return
        elif isinstance(node, tree.Test):
            for case in node.cases:
                yield from self.statement(case)
            return
        elif isinstance(node, tree.Case) and node.profile is not None:
            yield Occurrence(Symbol(PROFILE, self.main, node.profile.text), node.profile.span)
        for expr in _expressions(node):
            yield from self.expression(expr)

    def symbol(self, kind: str, name: str) -> Symbol:
        return Symbol(kind, self.path, name)

    def expression(self, node: tree.Name | tree.Member) -> Iterator[Occurrence]:
        if isinstance(node, tree.Name):
            if node.text in self.scope.lets:
                yield Occurrence(self.symbol(LET, node.text), node.span)
            return
        yield Occurrence(self.symbol(MODULE, node.module.text), node.module.span)
        inside: Scope | None = self.scope.modules.get(node.module.text)
        if inside is not None:
            yield Occurrence(Symbol(LET, self.paths[id(inside)], node.name.text), node.name.span)


def _expressions(node: Any) -> Iterator[tree.Name | tree.Member]:
    """The names in expressions anywhere below a node; not those of labels, actions, arguments and definitions."""
    left = [node]
    while left:
        each = left.pop()
        if isinstance(each, tree.Name | tree.Member):
            if each is not node:
                yield each
        elif isinstance(each, tree.Rule):
            left += (each.items, each.excepts, each.widths, each.conditions, each.vcpus, each.actions)
        elif isinstance(each, tree.Action):
            left += () if each.name.text in _OTHER_NAMES else (argument.value for argument in each.arguments)
        elif isinstance(each, tree.LetSet):
            left += (each.items, each.excepts)
        elif isinstance(each, tree.LetConst):
            left.append(each.value)
        elif isinstance(each, tree.Element):
            left += (each.lo, each.hi)
        elif isinstance(each, tree.Case):
            left += (each.address, each.width, each.value, each.cpl, each.vcpu, each.outcome)
        elif isinstance(each, Span | tree.Word | tree.Target | tree.Import):
            continue
        elif isinstance(each, tuple):
            left += each


def statements_at(loaded: Loaded, offset: int) -> list[tree.Statement]:
    """The statement of a file that holds a character, as a list of one; empty between statements, and in broken ones.

    A block is wider than its own span, which ends with its head.
    """
    before = None
    for each in loaded.module.statements:
        if each.span.source.base + each.span.start > offset:
            break
        before = each
    return [] if before is None else [before]


def symbol_at(analysis: Analysis, path: str, offset: int) -> Occurrence | None:
    """The occurrence whose name an offset touches."""
    loaded = analysis.file(path)
    if loaded is None:
        return None
    for each in occurrences(analysis, loaded, statements_at(loaded, offset)):
        base = each.span.source.base
        if base + each.span.start <= offset <= base + each.span.end:
            return each
    return None


def all_of(analysis: Analysis, symbol: Symbol) -> Iterator[Occurrence]:
    """Every occurrence of a symbol in a policy's files, in the order of the files and as they stand there."""
    for loaded in analysis.written.modules:
        for each in occurrences(analysis, loaded, loaded.module.statements):
            if each.symbol == symbol:
                yield each
