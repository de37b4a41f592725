"""Places as editors count them: lines and columns from 0, columns in the code units of the encoding agreed upon."""

from __future__ import annotations

from lsprotocol import types

from policyc.vocabulary.span import Source, Span

UTF8, UTF16, UTF32 = "utf-8", "utf-16", "utf-32"


def units(text: str, encoding: str) -> int:
    """Code units of a text."""
    if encoding == UTF32 or text.isascii():
        return len(text)
    if encoding == UTF8:
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text) + sum(char > "\uffff" for char in text)


def characters(line: str, column: int, encoding: str) -> int:
    """How many characters of a line lie before a column; all of them where the line is shorter.

    A column inside a character (the second half of a surrogate pair) means the place before it.
    """
    if encoding == UTF32 or line.isascii():
        return min(column, len(line))
    seen = 0
    for number, char in enumerate(line):
        seen += units(char, encoding)
        if seen > column:
            return number
    return len(line)


def position(source: Source, offset: int, encoding: str) -> types.Position:
    """The editor's position of a character of a source."""
    line, column = source.position(offset)
    return types.Position(line - 1, units(source.line(line)[: column - 1], encoding))


def span_range(span: Span, encoding: str) -> types.Range:
    """The editor's range of a span."""
    return types.Range(position(span.source, span.start, encoding), position(span.source, span.end, encoding))


def offset(source: Source, place: types.Position, encoding: str) -> int:
    """The character at an editor's position; a line past the end means the end, a column past a line's end its end."""
    if place.line >= source.line_count:
        return len(source.text)
    text = source.line(place.line + 1)
    return source.line_start(place.line + 1) + characters(text, place.character, encoding)
