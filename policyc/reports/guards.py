"""Dropped guards, beside the differences of two policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from policyc.analyses.guards import TEST, Dropped
from policyc.reports.cells import safe
from policyc.reports.colour import PLAIN, Paint
from policyc.reports.differences import markdown_code, ranges_words

_WIDEST = 100


def headline(found: Sequence[Dropped]) -> str:
    """``drops 2 guards: 1 never, 1 test``."""
    counts = {kind: sum(each.kind == kind for each in found) for kind in dict.fromkeys(each.kind for each in found)}
    said = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return f"drops {len(found)} guard{'' if len(found) == 1 else 's'}: {said}"


def text(found: Sequence[Dropped], paint: Paint = PLAIN) -> str:
    """For a terminal; ends in a newline, empty if nothing is dropped."""
    if not found:
        return ""
    lines = [paint("warning", headline(found))]
    places = [_place(each) for each in found]
    room = max(map(len, places))
    for each, place in zip(found, places, strict=True):
        lines.append(f"    - {safe(place):<{room}}  {safe(_said(each))}")
    return "\n".join(lines) + "\n"


def markdown(found: Sequence[Dropped]) -> str:
    if not found:
        return ""
    words = headline(found)
    rows = [f"* {markdown_code(_place(each))} {markdown_code(_said(each))}" for each in found]
    return "\n".join(["", f"**{words[0].upper()}{words[1:]}**", "", *rows]) + "\n"


def fields(found: Sequence[Dropped]) -> list[dict[str, Any]]:
    return [
        {
            "kind": each.kind,
            "file": each.span.source.name,
            "line": each.span.line,
            "text": " ".join(each.span.text.split()),
            "test": each.test or None,
            "rest": [list(pair) for pair in each.rest],
        }
        for each in found
    ]


def _place(each: Dropped) -> str:
    return f"{each.span.source.name}:{each.span.line}"


def _said(each: Dropped) -> str:
    words = " ".join(each.span.text.split())
    words = words if len(words) <= _WIDEST else words[: _WIDEST - 3] + "..."
    if each.kind == TEST:
        return f"{words}  (test {each.test})"
    return words if each.whole else f"{words}  (no longer for {ranges_words(each.rest)})"
