"""What a reader wants to know of the word under the cursor: a register, a port, a set, an action, a rule's effect."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lsprotocol import types

from policyc.database.bits import layout
from policyc.database.entry import Entry
from policyc.lsp import effect
from policyc.lsp.analysis import Analysis
from policyc.lsp.documents import Document
from policyc.lsp.places import offset, span_range
from policyc.lsp.project import Project
from policyc.lsp.texts import ACTIONS
from policyc.lsp.words import Word, word_at
from policyc.semantics.addresses import count
from policyc.semantics.scope import Scope
from policyc.semantics.wording import items_text
from policyc.syntax import tree
from policyc.vocabulary import intervals
from policyc.vocabulary.access import MSR, MSR_LAST, PORT_LAST
from policyc.vocabulary.intervals import Intervals

MOST_ENTRIES = 3
"""Meanings of one number that are told; ports in particular have many."""
_MOST_RANGES = 8
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f_]+|0[bB][01_]+|[1-9][0-9_]*|0", re.ASCII)


def hover(project: Project, document: Document, place: types.Position, encoding: str) -> types.Hover | None:
    """The card for a position, None where there is nothing to say."""
    at = offset(document.source, place, encoding)
    word = word_at(document.source, at)
    if word is None:
        return None
    analysis = project.of(document.path)
    text = _text(analysis, document.path, word) if analysis is not None else None
    if text is None:
        return None
    return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, text), span_range(word.span, encoding))


def _text(analysis: Analysis, path: str, word: Word) -> str | None:
    scope = analysis.scope(path)
    line, column = word.span.source.position(word.span.start)
    if word.text in ACTIONS and word.before and word.before[-1] in ("->", "=>", ",", "=="):
        return f"**{word.text}**: {ACTIONS[word.text]}"
    if _NUMBER.fullmatch(word.text):
        number = int(word.text.replace("_", ""), 0)
        return None if word.space is None or "->" in word.before else _address(analysis, word.space, number)
    said = None if scope is None else _defined(scope, word.text)
    if said is not None:
        return said
    if word.space is not None and "->" not in word.before:
        said = _named(analysis, word.space, word.text)
        if said is not None:
            return said
    return effect.card(analysis, path, line, column)


def _defined(scope: Scope, text: str) -> str | None:
    """A set or constant of this file or of one that it imports."""
    module, _, name = text.partition(".")
    inside: Scope | None = scope
    if name:
        inside = scope.modules.get(module.strip("`"))
    let = None if inside is None else inside.lets.get((name or module).strip("`"))
    if inside is None or let is None:
        return None
    doc = "".join(f"\n\n{line}" for line in let.doc)
    written = " ".join(let.span.text.split())
    code = f"```policy\n{written if len(written) < 300 else written[:300] + ' ...'}\n```"
    if isinstance(let, tree.LetConst):
        value = inside.number(let.value, [])
        return code + ("" if value is None else f"\n\n{value:#x} = {value:,}") + doc
    found = inside.items(let.space.text, let.items, let.excepts, [])
    return code + ("" if found is None else f"\n\n{_ranges(let.space.text, found)}") + doc


def _ranges(space: str, found: Intervals) -> str:
    size = intervals.size(found)
    if not size:
        return "empty"
    more = f" and {len(found) - _MOST_RANGES} more ranges" if len(found) > _MOST_RANGES else ""
    return f"{count(space, size)}: `{items_text(found[:_MOST_RANGES])}`{more}"


def _named(analysis: Analysis, space: str, text: str) -> str | None:
    """A name of the database, or a member of one of its families."""
    name, _, index = text.partition("[")
    names = analysis.database
    found = names.msr(name) if space == MSR else names.port(name)
    if found is None:
        return None
    if index[:-1].isdigit():
        number = int(index[:-1]) if len(index) < 9 else -1
        member = names.msr_member(name, number) if space == MSR else names.port_member(name, number)
        return None if member is None else _address(analysis, space, member)
    first = found[0][0]
    entries = names.msr_entries(first) if space == MSR else names.port_entries(first)
    canonical = names.canonical(space, name)
    mine = [each for each in entries if each.name == (canonical or "").partition("[")[0]]
    if intervals.size(found) == 1:
        return _address(analysis, space, first, mine)
    if not mine:
        return None
    return "\n\n".join([*(_entry(each) for each in mine), *_bits(mine[0].name), _ranges(space, found)])


def _address(analysis: Analysis, space: str, number: int, first: Iterable[Entry] = ()) -> str | None:
    """Everything known at one address, and what the policy does with it."""
    if number > (MSR_LAST if space == MSR else PORT_LAST):
        return None
    names = analysis.database
    entries = names.msr_entries(number) if space == MSR else names.port_entries(number)
    ordered = list(dict.fromkeys((*first, *entries)))
    parts = [_entry(each, number) for each in ordered[:MOST_ENTRIES]]
    parts[1:1] = _bits(ordered[0].name) if ordered else []
    if not parts:
        parts.append(f"**{'MSR' if space == MSR else 'port'} {number:#x}**: not in the database")
    return "\n\n".join([*parts, *effect.accesses(analysis, space, number)])


def _entry(entry: Entry, number: int | None = None) -> str:
    """One meaning: name, number, what it is, on which processors, who says so."""
    family = f"[0..{entry.members - 1}]" if entry.family else ""
    title = entry.shown(number) if number is not None else entry.name + family
    where = f"{entry.lo:#x}" if entry.lo == entry.last else f"{entry.lo:#x}..{entry.last:#x}"
    if number is not None and entry.family:
        where = f"{number:#x}"
    facts = [f"`{where}`", entry.access, *([entry.vendor] if entry.vendor != "any" else [])]
    facts += [entry.models] if entry.models else []
    tags = f"\n\ntags: {', '.join(entry.tags)}" if entry.tags else ""
    return f"**{title}** {', '.join(facts)}\n\n{_plain(entry.about)}{tags}\n\n*{_plain(entry.source)}*"


def _bits(name: str) -> list[str]:
    """The bits of a register, as a list of one entry or none."""
    found = layout(name)
    if found is None:
        return []
    lines = []
    for field in found.fields:
        where = str(field.lo) if field.lo == field.hi else f"{field.lo}..{field.hi}"
        mask = (1 << field.hi + 1) - (1 << field.lo)
        lines.append(f"* {where} **{_plain(field.name)}** `{mask:#x}`: {_plain(field.about)}")
    return ["Bits:\n" + "\n".join(lines)]


def _plain(text: str) -> str:
    """Text of a user's own names file, which must not become markup."""
    return re.sub(r"([\\`*_{}\[\]<>#|!])", r"\\\1", text)
