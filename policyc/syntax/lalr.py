"""Runs the LALR(1) tables that lark made from the grammar (see generate.py) over one statement.

Which rules make a statement depends on the kinds of its tokens alone. So the tables only say in which order the rules'
methods are called, and on what: the *steps*. Statements of the same form (``intercept io 0x10 in width 4`` and
``deny msr A read width B``) have the same steps, which are kept: policies of many lines have few forms.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from operator import itemgetter

from policyc.syntax._tables import END, KEYWORDS, RULES, START, STATES, TOKEN
from policyc.syntax.tree import Word
from policyc.vocabulary.span import Source
from policyc.vocabulary.typed import Any

_TOKEN = re.compile(rf"[ \t]*+(?:{TOKEN}|(?P<end>\Z)|(?P<character>[\s\S]))", re.ASCII)
_KINDS = ("", *({"BLANK": None, "COMMENT": None, "LITERAL": ""}.get(name, name) for name in _TOKEN.groupindex))
"""By number of the group: the kind of token; None for what stands between tokens, empty where the text is the kind."""
_END = "end"
_LESS = ("<", "<=", "<<")
"""Tokens that begin like the names of rules in a table's row."""
_ROWS: tuple[dict[str, int], ...] = STATES
_NOTHING = 0
"""Among the values: None, which an optional clause keeps where it is left out. The tokens' words follow."""

_KNOWN, _LONGEST = 512, 64
"""Forms whose steps are kept, and the kinds of the longest: at most some 6 MB; a policy's few forms take 0.5 MB."""

Methods = tuple[Any, ...]
"""For each rule the method that makes its value; None where that is the only child, or a list."""
Step = tuple[int, int, "Callable[[list[Any]], Iterable[Any]] | None"]
"""One call: the rule whose method is called; the place of its only argument among the values; what picks its arguments
where they are not one, else None. What the method gives is the next value."""


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


def reducers(builder: object) -> Methods:
    return tuple(getattr(builder, method) if method else None for _, method, _, _ in RULES)


class _Stop(Exception):
    """No rule goes on with a token. place: of its word among the values."""

    def __init__(self, place: int, kind: str, states: tuple[int, ...]) -> None:
        super().__init__(kind)
        self.place = place
        self.kind = kind
        self.states = states


def parse(source: Source, start: int, end: int, symbol: str, methods: Methods) -> Any:
    """The value of characters start..end-1, read as ``symbol`` (statement, profile_head, test_head or case).

    Raises Unexpected at the first token that does not fit.
    """
    kinds = [symbol]
    values: list[Any] = [None]
    new = tuple.__new__  # A named tuple's own takes twice as long, and every token is one.
    for found in _TOKEN.finditer(source.text, start, end):
        index = found.lastindex or 0
        kind = _KINDS[index]
        if kind is None:
            continue
        written = found[index]
        kinds.append(kind if kind and written not in KEYWORDS else written)
        values.append(new(Word, (written, source, found.start(index))))
    try:
        for rule, only, chosen in _steps_of(kinds):
            method = methods[rule]
            values.append(method(values[only]) if chosen is None else method(*chosen(values)))
    except _Stop as stop:
        raise Unexpected(stop.kind, values[stop.place], tuple(values[1 : stop.place]), stop.states) from None
    return values[-1]  # The last call made the statement.


def _steps_of(kinds: list[str]) -> Iterable[Step]:
    """As _steps; those of a form that was seen before cost nothing."""
    if len(kinds) <= _LONGEST:
        try:
            return _kept_steps(tuple(kinds))
        except _Stop:
            pass  # What comes before the mistake is read first: a mistake there is the one to report.
    return _steps(kinds)


@lru_cache(_KNOWN)
def _kept_steps(kinds: tuple[str, ...]) -> tuple[Step, ...]:
    return tuple(_steps(kinds))


def _steps(kinds: Sequence[str]) -> Iterator[Step]:
    """The calls that make a statement's value of its words. kinds: what to read it as, then those of its tokens, ``end``
    the last. Raises _Stop."""
    rows, rules = _ROWS, RULES
    state, final = START[kinds[0]], END[kinds[0]]
    states = [state]
    places: list[Any] = []  # Of each state's value: a number, or a list of numbers.
    free = len(kinds)
    for place in range(1, len(kinds)):
        kind = kinds[place]
        if kind in KEYWORDS and kind not in rows[state]:
            kind = "NAME"
        while (move := rows[state].get(kind)) is None or move < 0:
            if move is None:
                raise _Stop(place, kind, tuple(states))
            origin, method, size, children = rules[~move]
            given = places[len(places) - size :]
            del places[len(places) - size :], states[len(states) - size :]
            kept = given if children is None else _kept(given, children)
            if method:
                yield _step(~move, kept)
                places.append(free)
                free += 1
            else:
                places.append(kept[0] if method is None else kept)
            state = rows[states[-1]][origin]
            states.append(state)
            if state == final and kind == _END:
                return
        state = move
        states.append(state)
        places.append(place)


def _step(rule: int, arguments: list[int]) -> Step:
    if len(arguments) == 1:
        return (rule, arguments[0], None)
    return (rule, 0, itemgetter(*arguments) if arguments else _no_arguments)


def _no_arguments(_values: list[Any]) -> tuple[()]:
    return ()


def _kept(given: list[Any], children: tuple[int, ...]) -> list[Any]:
    """The children that the rule keeps; a list that the rule only makes longer is the same list, not a copy."""
    out: list[Any] = []
    for at, child in enumerate(children):
        if at == 0 and child < -1:
            out = given[-2 - child]
        elif child >= 0:
            out.append(given[child])
        elif child == -1:
            out.append(_NOTHING)
        else:
            out += given[-2 - child]
    return out
