"""From a name to where it is defined, to where it is used, and to another name for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from policyc.imports import STD
from policyc.lsp.analysis import Analysis, analyse
from policyc.lsp.documents import Document, uri_of
from policyc.lsp.names import LET, MODULE, Occurrence, Symbol, all_of, statements_at, symbol_at
from policyc.lsp.places import offset, span_range
from policyc.lsp.project import Project
from policyc.lsp.words import word_at
from policyc.semantics.modules import Loaded, alias_of
from policyc.syntax import tree
from policyc.syntax.format import stripped
from policyc.syntax.words import KEYWORDS
from policyc.vocabulary.span import Span

MOST_POLICIES = 64
"""Policies that a file's importers may be for a rename: it is all of them or none."""


class Refused(JsonRpcException):
    """A request that is understood and not done: RequestFailed of LSP 3.17. The editor shows the message."""

    CODE = -32803


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def definition(project: Project, document: Document, place: types.Position, encoding: str) -> types.Location | None:
    """Where the name under the cursor is defined; for a module, or the path of an import, the file."""
    at = offset(document.source, place, encoding)
    analysis = project.of(document.path)
    if analysis is None:
        return None
    loaded = analysis.file(document.path)
    for statement in () if loaded is None else statements_at(loaded, at):
        if isinstance(statement, tree.Import) and at <= statement.span.source.base + statement.span.end:
            return _start(project, analysis, document.path, alias_of(statement))
    found = symbol_at(analysis, document.path, at)
    symbol = found.symbol if found is not None else _spelt(analysis, document, at)
    if symbol is None:
        return None
    if symbol.kind == MODULE:
        return _start(project, analysis, document.path, symbol.name)
    for each in all_of(analysis, symbol):
        if each.definition:
            return location(project, each.span, encoding)
    return None


def _start(project: Project, analysis: Analysis, path: str, alias: str) -> types.Location | None:
    """The beginning of the file that an alias stands for."""
    scope = analysis.scope(path)
    inside = None if scope is None else scope.modules.get(alias)
    for each in analysis.written.modules:
        if inside is not None and analysis.written.scopes[each.key] is inside:
            start = types.Position(0, 0)
            return types.Location(_uri(project, each.name), types.Range(start, start))
    return None


def _spelt(analysis: Analysis, document: Document, at: int) -> Symbol | None:
    """What the word at the cursor would mean, in a statement that cannot be parsed."""
    word = word_at(document.source, at)
    scope = analysis.scope(document.path)
    if word is None or scope is None:
        return None
    module, _, name = word.text.partition(".")
    if name:
        inside = scope.modules.get(module)
        paths = [each.name for each in analysis.written.modules if analysis.written.scopes[each.key] is inside]
        return Symbol(LET, paths[0], name) if paths else None
    return Symbol(LET, document.path, module) if module in scope.lets else None


def location(project: Project, span: Span, encoding: str) -> types.Location:
    return types.Location(_uri(project, span.source.name), span_range(span, encoding))


def _uri(project: Project, path: str) -> str:
    return project_uri if (project_uri := _open(project, path)) is not None else uri_of(project.place(path))


def _open(project: Project, path: str) -> str | None:
    document = project.document(path)
    return None if document is None else document.uri


# uses


def references(
    project: Project, document: Document, place: types.Position, encoding: str, declaration: bool
) -> list[types.Location]:
    """Every place where the symbol under the cursor is named, in all policies that its file is part of."""
    found = _symbol(project, document, place, encoding)
    if found is None:
        return []
    every = _everywhere(project, found.symbol, project.roots(found.symbol.path))
    return [location(project, each.span, encoding) for each in every if declaration or not each.definition]


def highlights(
    project: Project, document: Document, place: types.Position, encoding: str
) -> list[types.DocumentHighlight]:
    """The same within the file."""
    found = references(project, document, place, encoding, True)
    return [types.DocumentHighlight(each.range) for each in found if each.uri == document.uri]


def _symbol(project: Project, document: Document, place: types.Position, encoding: str) -> Occurrence | None:
    analysis = project.of(document.path)
    at = offset(document.source, place, encoding)
    return None if analysis is None else symbol_at(analysis, document.path, at)


def _everywhere(project: Project, symbol: Symbol, roots: Iterable[str]) -> list[Occurrence]:
    out: dict[tuple[str, int], Occurrence] = {}
    for analysis in _analyses(project, roots):
        for each in all_of(analysis, symbol):
            source = each.span.source
            out.setdefault((source.name, source.base + each.span.start), each)
    return [out[key] for key in sorted(out)]


def _analyses(project: Project, roots: Iterable[str]) -> Iterator[Analysis]:
    for root in roots:
        kept = project.analyses.get(root)
        yield kept if kept is not None else analyse(root, project.texts, project.database(root))


# another name


def can_rename(
    project: Project, document: Document, place: types.Position, encoding: str
) -> types.PrepareRenamePlaceholder | None:
    """The range of the name under the cursor, None where nothing of the policy's own stands."""
    found = _symbol(project, document, place, encoding)
    if found is None or found.implied or found.symbol.path.startswith(f"{STD}/"):
        return None
    return types.PrepareRenamePlaceholder(span_range(found.span, encoding), found.symbol.name)


def rename(
    project: Project, document: Document, place: types.Position, encoding: str, name: str
) -> dict[str, list[types.TextEdit]]:
    """Edits by path. All policies that the file is part of must resolve, and say the same under the new name.

    Raises Refused with the reason why not.
    """
    found = _symbol(project, document, place, encoding)
    if found is None:
        raise Refused("nothing that can be renamed stands here")
    symbol = found.symbol
    if symbol.path.startswith(f"{STD}/"):
        raise Refused(f"{symbol.path} comes with policyc and cannot be changed")
    if _NAME.fullmatch(name.strip("`")) is None or len(name) > 200:
        raise Refused(f"`{name[:40]}` is not a name: letters, digits and _, the first no digit")
    roots = project.roots(symbol.path, MOST_POLICIES + 1)
    if len(roots) > MOST_POLICIES:
        raise Refused(f"more than {MOST_POLICIES} policies import the file")
    written = name.strip("`")
    written = f"`{written}`" if written in KEYWORDS else written
    every = _everywhere(project, symbol, roots)
    _hold(project, symbol, roots, every, written)
    edits: dict[str, list[types.TextEdit]] = {}
    for each in every:
        new = f"{each.span.text} as {written}" if each.implied else written
        edits.setdefault(each.span.source.name, []).append(types.TextEdit(span_range(each.span, encoding), new))
    return edits


def _hold(project: Project, symbol: Symbol, roots: Iterable[str], every: Iterable[Occurrence], new: str) -> None:
    """Try the new name on every policy before any file is changed."""
    texts = dict(project.texts)
    for path, edits in _by_path(every).items():
        source = project.source(path)
        assert source is not None
        text = source.text
        for start, end, implied in sorted(edits, reverse=True):
            text = f"{text[:end]} as {new}{text[end:]}" if implied else text[:start] + new + text[end:]
        texts[path] = text
    for before in _analyses(project, roots):
        if before.policy is None:
            raise Refused(f"{before.path} does not compile: mend its errors first")
        after = analyse(before.path, texts, before.database)
        if after.policy is None:
            raise Refused(f"with that name, {before.path} does not compile: {after.errors[0].message}")
        if symbol.kind in (LET, MODULE) and stripped(after.policy) != stripped(before.policy):
            raise Refused(f"with that name, {before.path} would say something else")


def _by_path(every: Iterable[Occurrence]) -> dict[str, list[tuple[int, int, bool]]]:
    out: dict[str, list[tuple[int, int, bool]]] = {}
    for each in every:
        base = each.span.source.base
        place = (base + each.span.start, base + each.span.end, each.implied)
        out.setdefault(each.span.source.name, []).append(place)
    return out


# the outline


def outline(loaded: Loaded, encoding: str, most: int = 5000) -> list[types.DocumentSymbol]:
    """Imports, sets, rules, profiles with theirs, and tests of one file."""
    out = []
    for each in loaded.module.statements[:most]:
        symbol = _entry(each, encoding)
        if symbol is not None:
            out.append(symbol)
    return out


def _entry(node: tree.Statement, encoding: str) -> types.DocumentSymbol | None:
    kind = types.SymbolKind
    if isinstance(node, tree.Import):
        return _item(node.path.value, kind.Module, node.span, node.path.span, encoding)
    if isinstance(node, tree.LetSet):
        return _item(node.name.text, kind.Array, node.span, node.name.span, encoding, f"set of {node.space.text}")
    if isinstance(node, tree.LetConst):
        return _item(node.name.text, kind.Constant, node.span, node.name.span, encoding)
    if isinstance(node, tree.Rule):
        written = " ".join(f"{node.verb.text} {node.space.text} {node.items.span.text}".split())[:80]
        name, detail = (written, None) if node.label is None else (node.label.text, written)
        at = node.items.span if node.label is None else node.label.span
        return _item(name, kind.Function, node.span, at, encoding, detail)
    if isinstance(node, tree.Test):
        return _item(node.name.value or "test", kind.Method, node.span, node.name.span, encoding)
    if isinstance(node, tree.Profile):
        found = _item(node.name.text, kind.Namespace, node.span, node.name.span, encoding)
        found.children = [inner for each in node.body if (inner := _entry(each, encoding)) is not None]
        if found.children:
            found.range = types.Range(found.range.start, found.children[-1].range.end)
        return found
    return None


def _item(
    name: str, kind: types.SymbolKind, whole: Span, at: Span, encoding: str, detail: str | None = None
) -> types.DocumentSymbol:
    return types.DocumentSymbol(name, kind, span_range(whole, encoding), span_range(at, encoding), detail)
