"""Cuts a text into statements, so that a mistake in one leaves the others readable.

A newline ends a statement, except inside the braces of a set and after a backslash. ``profile`` and ``test`` open a
block: their head (up to the brace) is a piece of its own, so is each statement inside, and the closing brace.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from policyc.syntax.words import STATEMENT_WORDS
from policyc.vocabulary.diagnostic import Diagnostic, Label, error
from policyc.vocabulary.span import Source, Span
from policyc.vocabulary.typed import NamedTuple

STATEMENT, PROFILE_HEAD, TEST_HEAD, CLOSE, COMMENT = "statement", "profile_head", "test_head", "close", "comment"

MAX_MISTAKES = 100
"""Reading stops there: the rest is hardly a policy."""

MAX_DEPTH = 32
"""Braces inside braces; a set needs one, a set in a profile two."""


class Piece(NamedTuple):
    """Characters start..end-1 are one piece. kind: one of the constants above. own_line: for comments."""

    kind: str
    start: int
    end: int
    own_line: bool = False


_LINE = re.compile(r"[^\r\n]*")
_PLAIN = re.compile(r'[ \t\f]*+([^\r\n#{}"`\\]*+)(?=[\r\n]|\Z)')
"""A line without marks; group 1: what stands on it, without the blanks before."""
_COMMENT = re.compile(r"[ \t\f]*+(#[^\r\n]*+)")
_SCAN = re.compile(r'"(?:[^"\\\r\n]|\\[^\r\n])*"?|`[^`\r\n]*`?|#[^\r\n]*|\\[ \t]*(?:\r\n|\n|\r|$)|[{}]|\r\n|\n|\r')
_BLOCK = re.compile(r"\s*(profile|test)\b")
_STARTER = re.compile(r"[ \t]*(?:" + "|".join(word for word in STATEMENT_WORDS if word != "test") + r")[ \t]")


def pieces(source: Source, problems: list[Diagnostic]) -> Iterator[Piece]:
    """All pieces in source order; brace mistakes are appended to problems."""
    text, at, size = source.text, 0, len(source.text)
    blocks: list[int] = []
    while at < size and len(problems) < MAX_MISTAKES:
        # Lines without marks first: there are most of them.
        match = _PLAIN.match(text, at)
        if match is not None:
            start, end = match.span(1)
            at = end + 1
            while end > start and text[end - 1] in " \t\f":
                end -= 1
            if start < end:
                yield Piece(STATEMENT, start, end)
            continue
        match = _COMMENT.match(text, at)
        if match is not None:
            start, end = match.span(1)
            yield Piece(COMMENT, start, end, True)
            at = end + 1
            continue
        at = yield from whole_lines(source, at, blocks, problems)
    for brace in blocks[: MAX_MISTAKES - len(problems)]:
        problems.append(unclosed(source, brace, size))


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start] in " \t\f\r\n":
        start += 1
    while end > start and text[end - 1] in " \t\f\r\n":
        end -= 1
    return start, end


def whole_lines(source: Source, at: int, blocks: list[int], problems: list[Diagnostic]) -> Generator[Piece, None, int]:
    """Pieces from a line with braces, quotes, comments or a continuation; returns where the next line starts."""
    text, start, line = source.text, at, at
    braced = -1  # The start behind which a brace was seen: only the first can open a block.
    depths: list[int] = []
    comments: list[Piece] = []
    position = at
    while True:
        match = _SCAN.search(text, position)
        if match is None:
            stop = position = len(text)
            mark = ""
        else:
            stop, position = match.span()
            mark = match.group()
        if mark[:1] == "#":
            own_line = not text[line:stop].strip(" \t\f")
            comments.append(Piece(COMMENT, stop, position, own_line))
            if own_line or depths:
                continue
            if not text[start:stop].strip():
                start = position
            continue
        if mark[-1:] in ("\r", "\n"):
            line = position
        if mark[:1] in ('"', "`", "\\"):
            continue
        if mark == "{":
            head = None if depths or braced == start else _BLOCK.match(text, start, stop)
            braced = start
            if head is None:
                depths.append(stop)
                if len(depths) > MAX_DEPTH:
                    return _too_deep(source, depths, position, problems)
                continue
            lo, _ = _trim(text, _skip_comments(text, start, comments), stop)
            yield Piece(PROFILE_HEAD if head.group(1) == "profile" else TEST_HEAD, lo, position)
            yield from comments
            comments, start = [], position
            blocks.append(stop)
            continue
        if mark == "}":
            if depths:
                depths.pop()
                continue
            yield from _statement(text, start, stop, comments)
            comments, start = [], position
            if blocks:
                blocks.pop()
                yield Piece(CLOSE, stop, position)
            else:
                problems.append(_stray(source, stop))
                if len(problems) >= MAX_MISTAKES:
                    return len(text)
            continue
        if depths and mark and _STARTER.match(text, position) is None:
            continue
        if depths:
            problems.append(unclosed(source, depths[-1], stop))
            yield from comments
            return position
        yield from _statement(text, start, stop, comments)
        return position


def _statement(text: str, start: int, stop: int, comments: list[Piece]) -> Iterator[Piece]:
    """The comments and the statement between start and stop; a trailing comment is not part of the statement."""
    start = _skip_comments(text, start, comments)
    inner_end = stop
    for comment in reversed(comments):
        if text[comment.end : inner_end].strip():
            break
        inner_end = comment.start
    lo, hi = _trim(text, start, max(start, inner_end))
    if lo < hi:
        yield from (each for each in comments if each.start < lo)
        yield Piece(STATEMENT, lo, hi)
        yield from (each for each in comments if each.start >= lo)
    else:
        yield from comments


def _skip_comments(text: str, start: int, comments: list[Piece]) -> int:
    for comment in comments:
        if comment.start >= start:
            if text[start : comment.start].strip():
                break
            start = comment.end
    return start


def _too_deep(source: Source, depths: list[int], position: int, problems: list[Diagnostic]) -> int:
    """One report for any depth; reading goes on after the line."""
    problems.append(
        error(
            "E004",
            f"braces nest more than {MAX_DEPTH} deep",
            Span(source, depths[-1], depths[-1] + 1),
            helps=("sets are flat: name the inner set with `let` and use its name",),
        )
    )
    match = _LINE.match(source.text, position)
    assert match is not None
    return match.end() + 1


def _stray(source: Source, at: int) -> Diagnostic:
    return error("E001", "this `}` closes nothing", Span(source, at, at + 1), helps=("delete it",))


def unclosed(source: Source, brace: int, end: int) -> Diagnostic:
    return error(
        "E001",
        "this `{` is never closed",
        Span(source, brace, brace + 1),
        "opened here",
        secondary=(Label(Span(source, end, end), "a `}` is missing before this"),),
        helps=("add `}`",),
    )
