"""Runs the LALR(1) tables that lark made from the grammar (see generate.py) over one statement."""

from __future__ import annotations

import re
from collections.abc import Callable

from policyc.syntax._tables import END, KEYWORDS, RULES, START, STATES, TOKEN
from policyc.syntax.tree import Word
from policyc.vocabulary.span import Source
from policyc.vocabulary.typed import Any

_TOKEN = re.compile(f"[ \\t]*(?:{TOKEN})", re.ASCII)
_GROUPS = ("", *_TOKEN.groupindex)
_END = "end"
_LESS = ("<", "<=", "<<")
"""Tokens that begin like the names of rules in a table's row."""
_NOTHING = (-1,)
"""What an optional clause keeps where it is left out."""
_ROWS: tuple[dict[str, int], ...] = STATES

Reducer = Callable[..., Any]


class Unexpected(Exception):
    """The statement stops making sense at ``word``.

    kind: the token's kind (``NAME``, ``NUMBER``, a keyword or the literal itself), ``end`` at the end of the
    statement, ``character`` where no token begins. before: the tokens that were read, without comments.
    """

    def __init__(self, kind: str, word: Word, before: tuple[Word, ...], states: tuple[int, ...]) -> None:
        super().__init__(kind)
        self.kind = kind
        self.word = word
        self.before = before
        self._states = states

    def accepted(self) -> frozenset[str]:
        """Kinds of token that could stand here: each is tried, for a table row alone names too many."""
        row = _ROWS[self._states[-1]]
        return frozenset(
            kind for kind in row if (kind[0] != "<" or kind in _LESS) and _accepts(list(self._states), kind)
        )


def _accepts(states: list[int], kind: str) -> bool:
    while True:
        move = _ROWS[states[-1]].get(kind)
        if move is None:
            return False
        if move >= 0:
            return True
        origin, _, size, _ = RULES[~move]
        if size:
            del states[-size:]
        states.append(_ROWS[states[-1]][origin])
        if kind == _END and states[-1] in END.values():
            return True


def reducers(builder: object) -> tuple[Reducer | None, ...]:
    """For every rule the method of builder that makes its value; None where the value is the only child."""
    return tuple(None if method is None else getattr(builder, method) if method else _list for _, method, _, _ in RULES)


def _list(*children: Any) -> list[Any]:
    return list(children)


def parse(source: Source, start: int, end: int, symbol: str, methods: tuple[Reducer | None, ...]) -> Any:
    """The value of characters start..end-1, read as ``symbol`` (statement, profile_head, test_head or case).

    Raises Unexpected at the first token that does not fit.
    """
    text = source.text
    match, rows, rules = _TOKEN.match, _ROWS, RULES
    state = START[symbol]
    final = END[symbol]
    states: list[int] = [state]
    values: list[Any] = []
    read: list[Word] = []
    at = start
    while True:
        found = match(text, at, end)
        if found is None:
            if at < end:
                word = Word(text[at : at + 1], source, at)
                raise Unexpected("character", word, tuple(read), tuple(states))
            kind, word = _END, Word("", source, end)
        else:
            index = found.lastindex or 0
            kind = _GROUPS[index]
            begin, at = found.span(index)
            if kind == "BLANK" or kind == "COMMENT":
                continue
            written = found[index]
            word = Word(written, source, begin)
            if kind == "LITERAL" or (kind == "NAME" and written in KEYWORDS and written in rows[state]):
                kind = written
        while True:
            move = rows[state].get(kind)
            if move is None:
                raise Unexpected(kind, word, tuple(read), tuple(states))
            if move >= 0:
                state = move
                states.append(state)
                values.append(word)
                read.append(word)
                break
            number = ~move
            origin, _, size, children = rules[number]
            if size:
                given = values[-size:]
                del values[-size:], states[-size:]
            else:
                given = []
            method = methods[number]
            if method is None:
                values.append(given[children[0] if children else 0])
            elif children is None:
                values.append(given if method is _list else method(*given))
            elif children == _NOTHING:
                values.append(method(None))
            else:
                given = _kept(given, children)
                values.append(given if method is _list else method(*given))
            state = rows[states[-1]][origin]
            states.append(state)
            if state == final and kind == _END:
                return values[-1]


def _kept(given: list[Any], children: tuple[int, ...]) -> list[Any]:
    """The children that the rule keeps; a list that the rule only makes longer is the same list, not a copy."""
    out: list[Any] = []
    for at, child in enumerate(children):
        if at == 0 and child < -1:
            out = given[-2 - child]
        elif child >= 0:
            out.append(given[child])
        elif child == -1:
            out.append(None)
        else:
            out += given[-2 - child]
    return out
