"""Fixes of findings, as an editor offers them: those that change no image, and those that need a second look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from lsprotocol import types

from policyc.imports import STD
from policyc.lint.fixes import chosen
from policyc.lsp.documents import Document
from policyc.lsp.places import offset, span_range
from policyc.lsp.project import Project
from policyc.vocabulary.diagnostic import Diagnostic, Fix

ALL = "source.fixAll.policyc"
KINDS = (types.CodeActionKind.QuickFix, types.CodeActionKind.SourceFixAll)

Edits = dict[str, list[types.TextEdit]]


class Offer(NamedTuple):
    """One action: its title and kind, what it is about, the edits by path. safe: no image changes."""

    title: str
    kind: str
    about: Diagnostic | None
    edits: Edits
    safe: bool


def offers(project: Project, document: Document, place: types.Range, encoding: str) -> list[Offer]:
    """The fixes of what was found in a range, and all the safe ones of the file together."""
    start, end = (offset(document.source, each, encoding) for each in (place.start, place.end))
    found = project.found(document.path)
    out = []
    for each in found:
        assert each.primary is not None
        span = each.primary.span
        base = span.source.base
        if base + span.start <= end and start <= base + span.end:
            for fix in each.fixes:
                title = fix.title if fix.safe else f"{fix.title} (may change what is intercepted)"
                out.append(Offer(f"{title}  [{each.code}]", KINDS[0], each, _edits([fix], encoding), fix.safe))
    safe = chosen(found, unsafe=False, editable=[document.path])
    if safe:
        title = f"Apply {len(safe)} safe {'fix' if len(safe) == 1 else 'fixes'} of policyc"
        out.append(Offer(title, ALL, None, _edits(safe, encoding), True))
    return [each for each in out if not any(path.startswith(f"{STD}/") for path in each.edits)]


def _edits(fixes: Iterable[Fix], encoding: str) -> Edits:
    out: Edits = {}
    for fix in fixes:
        for edit in fix.edits:
            text = types.TextEdit(span_range(edit.span, encoding), edit.text)
            out.setdefault(edit.span.source.name, []).append(text)
    return out
