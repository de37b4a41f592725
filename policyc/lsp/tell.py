"""Findings as editors show them, and findings that follow their text while it is edited."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lsprotocol import types

from policyc.lsp.places import span_range
from policyc.syntax.reparse import common
from policyc.vocabulary.diagnostic import ERROR, INFO, WARNING, Diagnostic, Edit, Fix, Label
from policyc.vocabulary.span import Source, Span

_SEVERITIES = {
    ERROR: types.DiagnosticSeverity.Error,
    WARNING: types.DiagnosticSeverity.Warning,
    INFO: types.DiagnosticSeverity.Information,
}
_FADED = frozenset({"R601", "R604", "R606", "R607"})
"""Codes about what could be deleted: editors draw it pale."""

MOST = 500
"""Findings that are shown of one file, and lint's that are kept of one policy."""

Uri = Callable[[str], str | None]
"""From a source's name to its URI; None for modules that come with policyc."""


def shown(found: Iterable[Diagnostic], encoding: str, uri: Uri) -> list[types.Diagnostic]:
    """Findings of one file for the editor, no more than MOST."""
    out: list[types.Diagnostic] = []
    for each in found:
        if len(out) == MOST:
            break
        out.append(_one(each, encoding, uri))
    return out


def _one(found: Diagnostic, encoding: str, uri: Uri) -> types.Diagnostic:
    start = types.Position(0, 0)
    place = types.Range(start, start) if found.primary is None else span_range(found.primary.span, encoding)
    related = [
        types.DiagnosticRelatedInformation(types.Location(where, span_range(each.span, encoding)), each.text or "here")
        for each in found.secondary
        if (where := uri(each.span.source.name)) is not None
    ]
    return types.Diagnostic(
        range=place,
        message=_message(found),
        severity=_SEVERITIES[found.severity],
        code=found.code,
        source="policyc",
        tags=[types.DiagnosticTag.Unnecessary] if found.code in _FADED else None,
        related_information=related or None,
    )


def _message(found: Diagnostic) -> str:
    lines = [f"{found.message}  ({found.slug})"]
    if found.primary is not None and found.primary.text:
        lines.append(found.primary.text)
    lines += [f"note: {each}" for each in found.notes]
    lines += [f"help: {each}" for each in found.helps]
    return "\n".join(lines)


def revived(fields: Mapping[str, Any], source: Callable[[str], Source | None]) -> Diagnostic | None:
    """The finding that ``policyc.reports.jsonform.diagnostic`` wrote; None if it stands in a file that is unknown.

    source: the text of a file, by the name that the finding calls it.
    """

    def span(place: Mapping[str, Any]) -> Span | None:
        held = source(place["file"])
        return None if held is None else Span(held, place["start"]["offset"], place["end"]["offset"])

    primary = fields["primary"]
    where = None if primary is None else span(primary)
    if where is None or primary is None:
        return None
    fixes = []
    for fix in fields["fixes"]:
        edits = tuple(Edit(at, each["text"]) for each in fix["edits"] if (at := span(each)) is not None)
        if len(edits) == len(fix["edits"]):
            fixes.append(Fix(fix["title"], edits, fix["safe"]))
    secondary = tuple(Label(at, each["text"]) for each in fields["secondary"] if (at := span(each)) is not None)
    return Diagnostic(
        fields["code"], fields["severity"], fields["message"], Label(where, primary["text"]), secondary,
        tuple(fields["notes"]), tuple(fields["helps"]), tuple(fixes),
    )  # fmt: skip


def moved(found: Iterable[Diagnostic], old: Source, new: Source) -> list[Diagnostic]:
    """Findings about a text where they stand after it was edited; without those that stood in what was changed."""
    head, tail = common(old.text, new.text)
    edge, shift = len(old.text) - tail, len(new.text) - len(old.text)

    def span(at: Span) -> Span | None:
        if at.source is not old:
            return at
        if at.end <= head:
            return Span(new, at.start, at.end)
        return Span(new, at.start + shift, at.end + shift) if at.start >= edge else None

    out = []
    for each in found:
        primary = None if each.primary is None else span(each.primary.span)
        if each.primary is None or primary is None:
            continue
        labels = tuple(Label(at, label.text) for label in each.secondary if (at := span(label.span)) is not None)
        fixes = tuple(fix for fix in each.fixes if all(edit.span.source is not old for edit in fix.edits))
        out.append(each._replace(primary=Label(primary, each.primary.text), secondary=labels, fixes=fixes))
    return out
