"""Rules that are all of ``intercept io 0x3f8..0x3ff out width 1 -> drop``: most lines of a large policy, read by one pattern.

The grammar would give the same nodes, at twice the cost (docs/performance.md); tests/syntax/test_plain.py holds
the two together. What is not exactly of this form, a wrong number too, is left to the grammar.
"""

from __future__ import annotations

import re

from policyc.syntax import tree
from policyc.syntax.words import KEYWORDS
from policyc.vocabulary.span import Source, Span

_NUMBER = r"0x[0-9a-fA-F]{1,16}|[1-9]\d{0,18}|0"
_NAME = r"[A-Za-z_]\w*+"
_ATOM = rf"(?:{_NUMBER}|{_NAME})\b"
_RULE = re.compile(
    rf"(?:({_NAME})[ \t]*+:[ \t]*+)?+(intercept|allow|deny)[ \t]++(msr|io)[ \t]++({_ATOM})(?:[ \t]*+\.\.[ \t]*+({_ATOM}))?+"
    rf"(?:[ \t]++(read|write|rw|inout|in|out))?+(?:[ \t]++width[ \t]++([1-9])\b)?+"
    rf"(?:[ \t]*+->[ \t]*+({_NAME}(?:[ \t]*+,[ \t]*+{_NAME})*+))?+",
    re.ASCII,
)
_PLAIN_ACTION = re.compile(_NAME, re.ASCII)
_WORDS = {word: word for word in KEYWORDS}
"""One text for each word, not one for each time it is written."""


def rule(source: Source, start: int, end: int, doc: tuple[str, ...]) -> tree.Rule | None:
    """The rule that characters start..end-1 are; None where they are anything else. doc: the comment above it."""
    match = _RULE.fullmatch(source.text, start, end)
    if match is None:
        return None
    named, verb, space, low, high, access, width, actions = match.groups()
    lo = _atom(source, low, match.start(4))
    label = None
    if named is not None:
        if named in KEYWORDS:
            return None
        label = tree.Name(named, Span(source, *match.span(1)))
    item: tree.Item
    if lo is None:
        return None
    if high is None:
        item = tree.Single(lo, lo.span)
    else:
        hi = _atom(source, high, match.start(5))
        if hi is None:
            return None
        item = tree.Range(lo, hi, Span(source, lo.span.start, hi.span.end))
    return tree.Rule(
        _word(source, verb, start if label is None else match.start(2)),
        _word(source, space, match.start(3)),
        tree.Items((item,), False, item.span),
        None,
        None if access is None else _word(source, access, match.start(6)),
        () if width is None else (tree.Number(int(width), 10, Span(source, *match.span(7))),),
        (),
        None,
        None if actions is None else _actions(source, *match.span(8)),
        None,
        label,
        doc,
        Span(source, start, end),
    )


def _actions(source: Source, start: int, end: int) -> tuple[tree.Action, ...]:
    found = []
    for match in _PLAIN_ACTION.finditer(source.text, start, end):
        span = Span(source, *match.span())
        found.append(tree.Action(tree.Name(match.group(), span), (), False, span))
    return tuple(found)


def _word(source: Source, text: str, at: int) -> tree.Word:
    return tree.Word(_WORDS[text], source, at)


def _atom(source: Source, text: str, at: int) -> tree.Number | tree.Name | None:
    span = Span(source, at, at + len(text))
    if text[0] > "9":
        return None if text in KEYWORDS else tree.Name(text, span)
    if text[:2] == "0x":
        return tree.Number(int(text, 16), 16, span)
    return tree.Number(int(text), 10, span)
