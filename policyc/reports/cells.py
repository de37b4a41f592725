"""One line of a source as a terminal can show it: what each character looks like and how many columns it takes."""

from __future__ import annotations

import re

TAB = 4
"""Columns of a tab, wherever it stands."""

_LONGEST = 1000
"""Characters of one sentence; a remedy may hold a whole statement."""
_LONG_WORD = re.compile(r"\S{200,}")


def cells(text: str) -> list[tuple[str, int]]:
    """What to print for each character, and its columns (0 for a mark that combines with the one before).

    Characters that print nothing, move the cursor or turn the text round are spelt as escapes.
    """
    if text.isascii() and text.isprintable():
        return [(char, 1) for char in text]
    return [_cell(char) for char in text]


def _cell(char: str) -> tuple[str, int]:
    if char == "\t":
        return " " * TAB, TAB
    if not char.isprintable() and char != "\u3000":
        shown = _escape(char)
        return shown, len(shown)
    if char.isascii():
        return char, 1
    import unicodedata

    if unicodedata.category(char) in ("Mn", "Me"):
        return char, 0
    return char, 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def safe(text: str) -> str:
    """One line of words or a file name without characters that a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def sentence(text: str) -> str:
    """As safe, of a length that can be read: policies may hold names and statements of a hundred thousand characters."""
    if len(text) >= 200:
        text = _LONG_WORD.sub(lambda word: f"{word[0][:120]}...{word[0][-40:]}", text)
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST - 3]}..."
    return safe(text)
