"""What stands at the cursor: the word, the statement it is in, and whether MSRs or ports are meant there."""

from __future__ import annotations

import re
from typing import NamedTuple

from policyc.syntax._tables import TOKEN
from policyc.syntax.statements import COMMENT, Piece, pieces
from policyc.syntax.words import STATEMENT_WORDS
from policyc.vocabulary.access import IO, MSR
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.span import Source, Span

_TOKEN = re.compile(TOKEN, re.ASCII)
_WORD = re.compile(
    r"(?:[A-Za-z0-9_]+|`[^`\r\n]*`)(?:\.(?:[A-Za-z_][A-Za-z0-9_]*|`[^`\r\n]*`))?(?:\[[\w.]*\])?", re.ASCII
)
_STARTER = re.compile(rf"^[ \t]*(?:{'|'.join(STATEMENT_WORDS)})[ \t]", re.MULTILINE)
_SPACES = {MSR: MSR, "rdmsr": MSR, "wrmsr": MSR, IO: IO, "in": IO, "out": IO}
_AROUND = 1 << 16
"""Characters before the cursor in which the beginning of its statement is looked for."""


class Statement(NamedTuple):
    """Characters start..end-1 of the whole text. kind: of policyc.syntax.statements."""

    kind: str
    start: int
    end: int


class Word(NamedTuple):
    """A word of a text. space: msr or io, None where its statement names neither before it. before: what its statement
    has before it, as tokens."""

    text: str
    span: Span
    space: str | None
    before: tuple[str, ...]


def statement_at(source: Source, offset: int) -> Statement | None:
    """The statement, or comment, that an offset is in or at the end of, as far as the offset; blanks behind it count."""
    first = max(0, offset - _AROUND)
    begins = [
        match.start() for match in _STARTER.finditer(source.text, first, source.line_start(source.position(offset)[0]))
    ]
    base = begins[-1] if begins else first
    text = source.text[base:offset]
    best = None
    for piece in _pieces(Source(source.name, text)):
        gap = text[piece.end :]
        if not gap or (gap.isspace() and not ("\n" in gap or "\r" in gap)):
            best = Statement(piece.kind, base + piece.start, min(base + piece.end, offset))
    return best


def _pieces(source: Source) -> list[Piece]:
    """The pieces of a text that ends at the cursor, where the braces of a set may be open still."""
    problems: list[Diagnostic] = []
    found = list(pieces(source, problems))
    if problems and (not found or problems[-1].primary is None or found[-1].end <= problems[-1].primary.span.start):
        return list(pieces(Source(source.name, f"{source.text}}}"), []))
    return found


def word_at(source: Source, offset: int) -> Word | None:
    """The word that an offset touches; None in a comment, in a string, or between words."""
    statement = statement_at(source, offset)
    if statement is None or statement.kind == COMMENT:
        return None
    line = source.position(offset)[0]
    for match in _WORD.finditer(source.text, source.line_start(line), source.line_start(line) + len(source.line(line))):
        if match.start() <= offset <= match.end():
            before = tokens(source.text[statement.start : match.start()])
            if before is None:
                return None
            return Word(match.group(), Span(source, match.start(), match.end()), space_of(before), before)
    return None


def tokens(text: str) -> tuple[str, ...] | None:
    """The tokens of the beginning of a statement; None where it ends in an open string or comment.

    What is no token is left out: the statement is still being written.
    """
    found = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or not match.group():
            if text[at] in '"`':
                return None
            at += 1
            continue
        at = match.end()
        if match.lastgroup == "COMMENT" and at == len(text):
            return None
        if match.lastgroup not in ("BLANK", "COMMENT"):
            found.append(match.group())
    return tuple(found)


def space_of(before: tuple[str, ...]) -> str | None:
    """Whether MSRs or ports are meant behind these tokens: the first word that says so counts."""
    return next((_SPACES[token] for token in before if token in _SPACES), None)
