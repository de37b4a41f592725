"""Diagnostics as JSON values. Format version 1: within it, fields are only added.

Lines and columns count from 1, offsets from 0, all in characters; ``end`` is the place after the last character.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from policyc.vocabulary.diagnostic import Diagnostic, Fix, Label
from policyc.vocabulary.span import Span

FORMAT_VERSION = 1


def document(fields: Mapping[str, Any]) -> str:
    """One JSON text with its newline, ``format_version`` first."""
    return json.dumps({"format_version": FORMAT_VERSION, **fields}, indent=2) + "\n"


def diagnostics(found: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """A list for the field ``diagnostics``."""
    return [diagnostic(each) for each in found]


def diagnostic(found: Diagnostic) -> dict[str, Any]:
    return {
        "code": found.code,
        "slug": found.slug,
        "severity": found.severity,
        "message": found.message,
        "primary": None if found.primary is None else label(found.primary),
        "secondary": [label(each) for each in found.secondary],
        "notes": list(found.notes),
        "helps": list(found.helps),
        "fixes": [fix(each) for each in found.fixes],
    }


def label(found: Label) -> dict[str, Any]:
    return {**span(found.span), "text": found.text}


def span(found: Span) -> dict[str, Any]:
    return {
        "file": found.source.name,
        "start": _place(found, found.start),
        "end": _place(found, found.end),
    }


def fix(found: Fix) -> dict[str, Any]:
    return {
        "title": found.title,
        "safe": found.safe,
        "edits": [{**span(each.span), "text": each.text} for each in found.edits],
    }


def _place(found: Span, offset: int) -> dict[str, int]:
    line, column = found.source.position(offset)
    return {"line": line, "column": column, "offset": offset}
