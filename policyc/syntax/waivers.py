"""``# policyc: ignore[S409] reason="..." until=2027-01-31 by=@who``: which findings a place accepts, and why."""

from __future__ import annotations

import re

from policyc.syntax import tree
from policyc.vocabulary.codes import CODES
from policyc.vocabulary.diagnostic import Diagnostic, error
from policyc.vocabulary.span import Source, Span

_START = re.compile(r"#+[ \t]*policyc[ \t]*:")
_WAIVER = re.compile(r"#+[ \t]*policyc[ \t]*:[ \t]*(file-ignore|ignore)[ \t]*\[([^\]]*)\]")
_FIELD = re.compile(r'[ \t]*(?:(reason)[ \t]*=[ \t]*"([^"]*)"|(until)=(\S+)|(by)=(@\S+))')
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9-]*\Z")
_NUMBERED = re.compile(r"[A-Za-z]\d{3}\Z", re.ASCII)
_COMPILE_ERRORS = {word for code, each in CODES.items() if code[0] == "E" for word in (code, each.slug)}
FAMILIES = ("P", "R", "S", "T", "X", "Y")
"""First letters of codes that can be waived."""

_FORM = '# policyc: ignore[S409] reason="why" until=2027-01-31 by=@who'


def read_waiver(
    source: Source, comment: tree.Comment, covers: tuple[int, int] | None, problems: list[Diagnostic]
) -> tree.Waiver | None:
    """The waiver in a comment, None if it holds none; a malformed one is X900 and gives None."""
    if _START.match(comment.text) is None:
        return None
    match = _WAIVER.match(comment.text)
    if match is None:
        problems.append(_malformed(comment, "a waiver names the codes it accepts in brackets"))
        return None
    base = comment.span.start
    codes = _codes(source, match, base, problems)
    fields: dict[str, str] = {}
    at = match.end()
    while at < len(comment.text.rstrip()):
        field = _FIELD.match(comment.text, at)
        if field is None:
            problems.append(_malformed(comment, f"`{comment.text[at:].strip()[:40]}` is not reason, until or by"))
            return None
        name = field.group(1) or field.group(3) or field.group(5)
        fields[name] = field.group(2) or field.group(4) or field.group(6) or ""
        at = field.end()
    until = fields.get("until")
    if until is not None and not _is_date(until):
        problems.append(_malformed(comment, f"`{until}` is not a date like 2027-01-31"))
        return None
    if not codes:
        return None
    whole_file = match.group(1) == "file-ignore"
    span = Span(source, base, comment.span.end)
    return tree.Waiver(codes, fields.get("reason"), until, fields.get("by"), None if whole_file else covers, span)


def _is_date(text: str) -> bool:
    """Whether it is a day of the calendar, as YYYY-MM-DD."""
    if _DATE.match(text) is None:
        return False
    from datetime import date

    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _codes(source: Source, match: re.Match[str], base: int, problems: list[Diagnostic]) -> tuple[tree.Name, ...]:
    names: list[tree.Name] = []
    at = match.start(2)
    for part in match.group(2).split(","):
        text = part.strip()
        start = base + at + len(part) - len(part.lstrip())
        span = Span(source, start, start + len(text))
        if _CODE.match(text) is None:
            problems.append(
                error("X900", f"`{text}` is not a code or rule name", span, helps=(f"write it like this: {_FORM}",))
            )
        elif text in _COMPILE_ERRORS:
            problems.append(
                error("X904", f"{text} is a compile error and cannot be waived", span, helps=("mend the statement",))
            )
        elif _NUMBERED.match(text) and text[0] not in FAMILIES:
            said = f"there is no code `{text}`"
            problems.append(
                error("X904", said, span, helps=(f"codes begin with {', '.join(FAMILIES[:-1])} or {FAMILIES[-1]}",))
            )
        else:
            names.append(tree.Name(text, span))
        at += len(part) + 1
    return tuple(names)


def _malformed(comment: tree.Comment, why: str) -> Diagnostic:
    return error("X900", f"this waiver cannot be read: {why}", comment.span, helps=(f"write it like this: {_FORM}",))
