"""What can stand at the cursor: the grammar's tables say which words, the policy and the database which names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from lsprotocol import types

from policyc import resources
from policyc.imports import STD
from policyc.lsp.analysis import Analysis
from policyc.lsp.documents import Document
from policyc.lsp.places import offset
from policyc.lsp.project import Project
from policyc.lsp.texts import ACTIONS
from policyc.lsp.words import space_of, statement_at, tokens
from policyc.semantics.policy import VECTORS
from policyc.semantics.scope import Scope
from policyc.syntax import tree
from policyc.syntax.builder import TreeBuilder
from policyc.syntax.lalr import Unexpected, parse, reducers
from policyc.syntax.statements import CLOSE, COMMENT, TEST_HEAD, pieces
from policyc.syntax.words import KEYWORDS
from policyc.targets.registry import NAMES as TARGETS
from policyc.vocabulary.span import Source

MOST = 400
"""Names that are offered at once; the editor asks again as more letters are typed."""

_NO_WORD = "\x01"
"""No token begins with it: the parser stops there and says what it would have taken."""
_NEW_NAME = ("let msr", "let io", "let const", "as", "profile")
_IN_A_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")

Kind = types.CompletionItemKind


def complete(project: Project, document: Document, place: types.Position, encoding: str) -> types.CompletionList:
    """What begins with the letters before the cursor, or holds them."""
    source = document.source
    at = offset(source, place, encoding)
    begin = at
    while begin > 0 and source.text[begin - 1] in _IN_A_WORD:
        begin -= 1
    typed = source.text[begin:at].lower()
    found = [each for each in _candidates(project, document, begin) if typed in each.label.lower()]
    found.sort(key=lambda each: (not each.label.lower().startswith(typed), each.sort_text or "", each.label))
    return types.CompletionList(is_incomplete=len(found) > MOST, items=found[:MOST])


def _candidates(project: Project, document: Document, at: int) -> Iterator[types.CompletionItem]:
    """Everything that can begin at an offset."""
    source = document.source
    statement = statement_at(source, at)
    start = at
    if statement is not None and statement.kind == COMMENT:
        return
    if statement is not None and statement.kind != CLOSE:
        start = statement.start
    text = source.text[start:at]
    before = tokens(text)
    if before is None:
        yield from _paths(document, text)
        return
    in_test = _in_test(source, start)
    yield from _words(text, in_test)
    analysis = project.of(document.path)
    if analysis is not None:
        yield from _names(analysis, document.path, before, in_test)


def _in_test(source: Source, at: int) -> bool:
    """Whether a statement that begins at an offset is a line of a test."""
    inside = False
    for piece in pieces(Source(source.name, source.text[max(0, at - (1 << 16)) : at]), []):
        if piece.kind == TEST_HEAD:
            inside = True
        elif piece.kind == CLOSE:
            inside = False
    return inside


# words of the language


def accepted(text: str, symbol: str) -> frozenset[str]:
    """Kinds of token that can follow the beginning of a statement; none where it is wrong already."""
    source = Source("", text + _NO_WORD)
    try:
        parse(source, 0, len(source.text), symbol, reducers(TreeBuilder(source)))
    except Unexpected as reason:
        return reason.accepted() if reason.word.text == _NO_WORD else frozenset()
    return frozenset()


def _words(text: str, in_test: bool) -> Iterator[types.CompletionItem]:
    kinds = accepted(text, "case" if in_test else "statement")
    for kind in sorted(kinds & KEYWORDS):
        yield types.CompletionItem(kind, kind=Kind.Keyword, sort_text="1")
    if not in_test and not text.strip():
        for word in ("profile", "test"):
            yield types.CompletionItem(word, kind=Kind.Keyword, sort_text="1")


# names


def _names(analysis: Analysis, path: str, before: tuple[str, ...], in_test: bool) -> Iterator[types.CompletionItem]:
    scope = analysis.scope(path) or Scope(analysis.database)
    last = before[-1] if before else ""
    space = space_of(before)
    if before[:1] == ("target",):
        yield from (types.CompletionItem(each, kind=Kind.EnumMember) for each in TARGETS)
    elif before[:1] == ("profile",) or (in_test and last == "profile"):
        if last in ("extends", ",", "profile") and len(before) > 1:
            yield from _profiles(analysis)
    elif last == ".":
        yield from _lets(scope.modules.get(before[-2]) if len(before) > 1 else None, space)
    elif (inside := _action(before)) is not None:
        yield from _in_action(analysis, scope, inside, last)
    elif " ".join(before[-2:]) in _NEW_NAME or last in _NEW_NAME or not before:
        return
    elif before[0] == "let" and before[1:2] == ("const",):
        yield from _lets(scope, None)
    elif space is not None and _wants_address(before):
        yield from _lets(scope, space)
        yield from _modules(scope)
        yield from _registers(analysis, space)
    elif last in ("==", "!=", "<", "<=", ">", ">=", "&", "|", "+", "<<", "~", "value"):
        yield from _lets(scope, None)


def _wants_address(before: tuple[str, ...]) -> bool:
    """Whether an address, or the end of a range of them, can follow."""
    last = before[-1]
    return last in ("msr", "io", "rdmsr", "wrmsr", "in", "out", "except", "{", "..", "=") or (
        last == "," and before.count("{") > before.count("}")
    )


def _action(before: tuple[str, ...]) -> str | None:
    """Where an action can stand: nothing. Inside an action's parentheses: its name. None elsewhere."""
    arrows = [number for number, token in enumerate(before) if token in ("->", "=>")]
    if not arrows and before[:2] == ("assert", "action") and "==" in before:
        arrows = [before.index("==")]
    if not arrows:
        return None
    behind = before[arrows[-1] + 1 :]
    if behind.count("(") > behind.count(")"):
        opened = len(behind) - 1 - behind[::-1].index("(")
        return behind[opened - 1] if opened else ""
    return "" if not behind or behind[-1] == "," else None


def _in_action(analysis: Analysis, scope: Scope, inside: str, last: str) -> Iterator[types.CompletionItem]:
    if not inside:
        for name, about in ACTIONS.items():
            yield types.CompletionItem(name, kind=Kind.Function, documentation=_markdown(about), sort_text="0")
    elif inside == "inject":
        yield from (
            types.CompletionItem(name, kind=Kind.EnumMember, detail=str(number)) for name, number in VECTORS.items()
        )
    elif inside == "forward":
        yield from (types.CompletionItem(name, kind=Kind.Function) for name in _handlers(analysis))
    else:
        if last in ("(", ",") and inside in ("mask", "log", "shadow"):
            names = {"mask": ("and", "or"), "log": ("rate",), "shadow": ("init",)}[inside]
            yield from (types.CompletionItem(f"{name}=", kind=Kind.Property, sort_text="0") for name in names)
        yield from _lets(scope, None)


def _handlers(analysis: Analysis) -> list[str]:
    """Functions that the policy forwards to already."""
    rules = () if analysis.policy is None else analysis.policy.rules
    return sorted({rule.actions[-1].handler() for rule in rules if rule.actions[-1].name == "forward"})


def _profiles(analysis: Analysis) -> Iterator[types.CompletionItem]:
    for loaded in analysis.written.modules[:1]:
        for each in loaded.module.statements:
            if isinstance(each, tree.Profile):
                yield types.CompletionItem(each.name.text, kind=Kind.Class, documentation=_doc(each.doc))


def _lets(scope: Scope | None, space: str | None) -> Iterator[types.CompletionItem]:
    """Sets of a space and constants; constants alone without one."""
    for name, let in () if scope is None else scope.lets.items():
        if isinstance(let, tree.LetConst):
            yield types.CompletionItem(name, kind=Kind.Constant, detail=_brief(let.value.span.text), sort_text="0")
        elif let.space.text == space:
            item = types.CompletionItem(name, kind=Kind.Variable, detail=_brief(let.items.span.text), sort_text="0")
            item.documentation = _doc(let.doc)
            yield item


def _modules(scope: Scope) -> Iterator[types.CompletionItem]:
    return (types.CompletionItem(each, kind=Kind.Module, sort_text="0") for each in scope.modules)


def _registers(analysis: Analysis, space: str) -> Iterator[types.CompletionItem]:
    for name, lo, last, count in analysis.database.listed(space):
        where = f"{lo:#x}" if lo == last else f"{lo:#x}..{last:#x}"
        insert = name if count == 1 else f"{name}[0..{count - 1}]"
        yield types.CompletionItem(name, kind=Kind.Field, detail=where, insert_text=insert, sort_text="2")


def _doc(lines: Iterable[str]) -> types.MarkupContent | None:
    text = "\n".join(lines)
    return _markdown(text) if text else None


def _markdown(text: str) -> types.MarkupContent:
    return types.MarkupContent(types.MarkupKind.Markdown, text)


def _brief(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 60 else f"{plain[:56]} ..."


# files


def _paths(document: Document, text: str) -> Iterator[types.CompletionItem]:
    """Policies that an import can name: those that come with policyc, and those below the file's folder."""
    head, quote, written = text.rpartition('"')
    if head.strip() != "import" or not quote:
        return
    folder = written.rpartition("/")[0]
    base = resources.folder(STD) if folder == STD else os.path.join(os.path.dirname(document.path), folder)
    if folder.startswith((f"{STD}/", "/")):
        return
    if not folder:
        yield types.CompletionItem(f"{STD}/", kind=Kind.Folder)
    try:
        with os.scandir(base) as entries:
            found = [(each.name, each.is_dir()) for _, each in zip(range(MOST), entries, strict=False)]
    except OSError:
        return
    for name, is_folder in sorted(found):
        if is_folder and name[0] not in ".":
            yield types.CompletionItem(f"{name}/", kind=Kind.Folder)
        elif name.endswith(".pol") and os.path.join(base, name) != document.path:
            yield types.CompletionItem(name, kind=Kind.File)
