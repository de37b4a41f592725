"""Formatting: the layout of ``policyc fmt``, as the smallest edit that an editor can apply without losing its place."""

from __future__ import annotations

from lsprotocol import types

from policyc.lsp.places import span_range
from policyc.syntax.format import formatted, same
from policyc.syntax.parser import parse
from policyc.syntax.reader import decode
from policyc.syntax.reparse import common
from policyc.vocabulary.diagnostic import PolicyError
from policyc.vocabulary.span import Source, Span


def edits(source: Source, encoding: str) -> list[types.TextEdit]:
    """What is to be changed, nothing for a text that cannot be parsed: its author is in the middle of something."""
    try:
        before = decode(source.name, source.text.encode())
    except PolicyError:
        return []
    module, problems = parse(before)
    if problems:
        return []
    text = formatted(before)
    again, problems = parse(Source(source.name, text))
    if problems or not same(module, again):
        raise AssertionError("formatting would change what the policy says")
    head, tail = common(source.text, text)
    if head == len(source.text) == len(text):
        return []
    start, end = _lines(source.text, head, len(source.text) - tail)
    return [
        types.TextEdit(span_range(Span(source, start, end), encoding), text[start : end - len(source.text) or None])
    ]


def _lines(text: str, start: int, end: int) -> tuple[int, int]:
    """The whole lines around a part of a text: an edit that begins between CR and LF has no place in an editor."""
    after = text.find("\n", end)
    return text.rfind("\n", 0, start) + 1, len(text) if after < 0 else after + 1
