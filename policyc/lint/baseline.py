"""What an old policy is known to have: a file of findings that are not told again, so that new ones are seen.

A finding is known by its file, its code and the text of its line, not by the line's number: other lines may move.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from policyc.vocabulary.diagnostic import Diagnostic, UnreadableError

FORMAT_VERSION = 1
MOST = 100_000
"""Findings of one baseline."""


class Known(NamedTuple):
    file: str
    code: str
    text: str


def key(found: Diagnostic, rename: Callable[[str], str]) -> Known:
    """What a finding is known by. rename: from a source's name to the one in the baseline."""
    if found.primary is None:
        return Known("", found.code, found.message)
    span = found.primary.span
    return Known(rename(span.source.name), found.code, span.source.line(span.line).strip())


def new(found: Iterable[Diagnostic], known: Counter[Known], rename: Callable[[str], str]) -> list[Diagnostic]:
    """The findings beyond those known; each known one accounts for one finding."""
    left = Counter(known)
    out = []
    for each in found:
        name = key(each, rename)
        if each.code[0] not in "DE" and left[name] > 0:
            left[name] -= 1
        else:
            out.append(each)
    return out


def to_fields(found: Iterable[Diagnostic], rename: Callable[[str], str]) -> dict[str, Any]:
    """The content of a baseline file, sorted, so that two of them can be compared."""
    counts = Counter(key(each, rename) for each in found if each.code[0] not in "DE")
    return {
        "format_version": FORMAT_VERSION,
        "findings": [{**known._asdict(), "count": count} for known, count in sorted(counts.items())],
    }


def from_fields(fields: object, name: str) -> Counter[Known]:
    """The findings of a baseline file. Raises UnreadableError for anything that is none."""
    rows = fields.get("findings") if isinstance(fields, dict) else None
    if not isinstance(fields, dict) or fields.get("format_version") != FORMAT_VERSION or not isinstance(rows, list):
        raise UnreadableError(f"cannot use {name}: it is not a baseline of format {FORMAT_VERSION}")
    if len(rows) > MOST:
        raise UnreadableError(f"cannot use {name}: it has more than {MOST:,} findings")
    known: Counter[Known] = Counter()
    for row in rows:
        words = [row.get(each) for each in Known._fields] if isinstance(row, dict) else []
        count = row.get("count") if isinstance(row, dict) else None
        texts = [each for each in words if isinstance(each, str)]
        if (
            len(texts) != len(Known._fields)
            or not isinstance(count, int)
            or isinstance(count, bool)
            or not 0 < count <= MOST
        ):
            raise UnreadableError(f"cannot use {name}: one of its findings is malformed")
        known[Known(*texts)] += count
    return known
