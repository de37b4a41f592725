"""Diagnostics as SARIF 2.1.0, which code-scanning services read (OASIS, sarif-v2.1.0-os).

Columns count UTF-16 code units or characters as ``columnKind`` says; here characters, as everywhere in policyc.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from policyc import __version__
from policyc.vocabulary.codes import CODES
from policyc.vocabulary.diagnostic import Diagnostic, Edit, Fix, Label
from policyc.vocabulary.span import Span

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


class Words(NamedTuple):
    """What a service shows about a rule. why: a paragraph. source: where it can be checked."""

    why: str
    source: str


class Bytes(NamedTuple):
    """A place in a file that is no text: bytes first..last, or the whole file. said: what stands there."""

    name: str
    said: str
    first: int | None = None
    last: int | None = None


def document(
    found: Sequence[Diagnostic],
    words: Mapping[str, Words] | None = None,
    accepted: Sequence[tuple[Diagnostic, str]] = (),
    places: Sequence[Sequence[Bytes]] = (),
) -> str:
    """One SARIF log with one run, and a newline.

    words: of the rules that have some, by code. accepted: findings that a comment in the source waives, with its
    reason; they are told as suppressed. places: for findings about images, where each of found is.
    """
    codes = sorted({each.code for each in (*found, *(each for each, _ in accepted))})
    results = [_result(each, codes.index(each.code)) for each in found]
    for result, some in zip(results, places, strict=False):
        result["locations"] = [_bytes(each) for each in some]
    for each, reason in accepted:
        suppression = {"kind": "inSource", "justification": reason}
        results.append({**_result(each, codes.index(each.code)), "suppressions": [suppression]})
    rules = [_rule(code, (words or {}).get(code)) for code in codes]
    run = {
        "tool": {"driver": {"name": "policyc", "version": __version__, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(code: str, words: Words | None) -> dict[str, Any]:
    about = CODES[code]
    rule: dict[str, Any] = {
        "id": code,
        "name": about.slug,
        "shortDescription": _message(f"{about.about}."),
        "defaultConfiguration": {"level": _LEVELS[about.severity]},
    }
    if words is not None:
        rule["fullDescription"] = _message(words.why)
        rule["help"] = _message(f"{words.why} Source: {words.source}.")
        if code[0] == "S":
            rule["properties"] = {"tags": ["security"]}
    return rule


def _result(found: Diagnostic, rule: int) -> dict[str, Any]:
    said = [found.message, *(f"note: {each}" for each in found.notes), *(f"help: {each}" for each in found.helps)]
    result: dict[str, Any] = {
        "ruleId": found.code,
        "ruleIndex": rule,
        "level": _LEVELS[found.severity],
        "message": _message("\n".join(said)),
    }
    if found.primary is not None:
        result["locations"] = [_location(found.primary)]
    if found.secondary:
        result["relatedLocations"] = [{"id": at, **_location(each)} for at, each in enumerate(found.secondary, 1)]
    if found.fixes:
        result["fixes"] = [_fix(each) for each in found.fixes]
    return result


def _location(label: Label) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": _uri(label.span.source.name)}, "region": _region(label.span)}
    return {"physicalLocation": place, **({"message": _message(label.text)} if label.text else {})}


def _bytes(place: Bytes) -> dict[str, Any]:
    there: dict[str, Any] = {"artifactLocation": {"uri": _uri(place.name)}}
    if place.first is not None and place.last is not None:
        there["region"] = {"byteOffset": place.first, "byteLength": place.last - place.first + 1}
    return {"physicalLocation": there, "message": _message(place.said)}


def _region(span: Span) -> dict[str, int]:
    """endColumn is the column after the last character; an empty region has equal columns."""
    line, column = span.source.position(span.start)
    last, after = span.source.position(span.end)
    return {"startLine": line, "startColumn": column, "endLine": last, "endColumn": after}


def _fix(fix: Fix) -> dict[str, Any]:
    files: dict[str, list[Edit]] = {}
    for edit in fix.edits:
        files.setdefault(edit.span.source.name, []).append(edit)
    changes = [
        {
            "artifactLocation": {"uri": _uri(name)},
            "replacements": [
                {"deletedRegion": _region(each.span), "insertedContent": {"text": each.text}} for each in edits
            ],
        }
        for name, edits in files.items()
    ]
    return {"description": _message(fix.title), "artifactChanges": changes}


def _message(text: str) -> dict[str, str]:
    """A message. Braces are doubled, because ``{0}`` would stand for an argument (section 3.11.5)."""
    return {"text": text.replace("{", "{{").replace("}", "}}")}


def _uri(name: str) -> str:
    """A relative URI reference; what cannot stand in one is percent-encoded (RFC 3986), a colon too: no scheme."""
    plain = "/-._~ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    data = name.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if chr(byte) in plain else f"%{byte:02X}" for byte in data)
