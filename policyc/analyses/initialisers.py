"""C initialisers as hypervisors write their bitmaps: designated elements and ranges, arrays of arrays, expressions.

    static u8 msr_bitmap[][0x2000/8] = {
            [READ_LOW] = { [0 ... 0x26f/8] = 0, [0x270/8 ... 0x277/8] = 0x80 },
            ...
    };

Names in them are those that the same text defines, by ``enum`` or ``#define``. What is not initialised is 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from policyc.analyses.images import BY_SIZE

_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|//[^\n]*", re.DOTALL)
_CAST = re.compile(r"\(\s*(?:(?:un)?signed\s+)?(?:char|short|int|long|(?:__)?[us](?:8|16|32|64)|u?int\d+_t)\s*\)")
_TOKEN = re.compile(r"\s*(?:(0[xX][0-9a-fA-F]+|[0-9]+)[uUlL]*\b|([A-Za-z_]\w*)|(\.\.\.|<<|>>|[][{}()=,+\-*/|&~^.]))")
_START = re.compile(r"=\s*(?=\{)")
_DECLARATION = re.compile(r"[^;{}=]*\Z")
_DIMENSION = re.compile(r"\[([^\]]*)\]")
_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+([A-Za-z_]\w*)[ \t]+([^\n]+)$", re.MULTILINE)
_USUAL = {"PAGE_SIZE": 4096}
_LEVELS = (("|",), ("^",), ("&",), ("<<", ">>"), ("+", "-"), ("*", "/"))
"""Binary operators, the loosest first."""
_DEEPEST = 16
_LONGEST = 1 << 16
"""Elements of one array."""
_MOST_STARTS = 200
"""Initialisers of one text that are looked at."""
_DECLARED = 300
"""Characters before the `=` in which the declaration stands."""
_WIDTHS = (
    (1, re.compile(r"\b(?:char|(?:__)?[us]8|u?int8_t)\b")),
    (2, re.compile(r"\b(?:short|(?:__)?[us]16|u?int16_t)\b")),
    (8, re.compile(r"\b(?:long|(?:__)?[us]64|u?int64_t)\b")),
    (4, re.compile(r"\b(?:int|unsigned|(?:__)?[us]32|u?int32_t)\b")),
)
"""Bytes of an element by the words of its declaration; for one that has none of them, all are tried."""

_Cells = list["int | _Cells"]


class _No(Exception):
    """The text is no initialiser of a bitmap."""


def bytes_of(text: str) -> bytes | None:
    """The first initialiser of a text that has an image's number of bytes; None if none does."""
    plain = _CAST.sub(" ", _COMMENT.sub(" ", text))
    names = _names(plain)
    for number, start in enumerate(_START.finditer(plain)):
        if number == _MOST_STARTS:
            break
        try:
            cells = _Reader(plain, start.end(), names).list(0)
            declared = _DECLARATION.search(plain, max(0, start.start() - _DECLARED), start.start())
            words = declared[0] if declared else ""
            values = _flat(cells, [_size(each, names) for each in _DIMENSION.findall(words)])
            found = _image(values, _widths(words))
        except _No:
            continue
        if found is not None:
            return found
    return None


def _widths(declaration: str) -> tuple[int, ...]:
    for width, words in _WIDTHS:
        if words.search(declaration):
            return (width,)
    return tuple(sorted(width for width, _ in _WIDTHS))


def _image(values: list[int], widths: tuple[int, ...]) -> bytes | None:
    for width in widths:
        top = 1 << 8 * width
        if len(values) * width in BY_SIZE and all(-top // 2 <= each < top for each in values):
            return b"".join((each % top).to_bytes(width, "little") for each in values)
    return None


def _flat(cells: _Cells, dims: list[int | None]) -> list[int]:
    """The elements in memory's order. dims: declared sizes, the outermost first; None or missing: as many as given."""
    inner = [each for each in cells if isinstance(each, list)]
    size = (dims[0] if dims else None) or len(cells)
    if len(cells) > size or size > _LONGEST:
        raise _No
    if not inner:
        return [each for each in cells if isinstance(each, int)] + [0] * (size - len(cells))
    rest = list(dims[1:]) or [max(map(len, inner))]
    rows = [_flat(each if isinstance(each, list) else [], rest) for each in cells]
    width = max(map(len, rows))
    if any(isinstance(each, int) and each for each in cells) or width * size > _LONGEST:
        raise _No
    return [each for row in [*rows, *([[]] * (size - len(rows)))] for each in [*row, *([0] * (width - len(row)))]]


class _Reader:
    """One initialiser, from its brace on."""

    def __init__(self, text: str, at: int, names: dict[str, int]) -> None:
        self.text = text
        self.names = names
        self.at = at
        self.open = 0
        self.tokens = self._tokens()
        self.now = next(self.tokens)

    def _tokens(self) -> Iterator[int | str]:
        while (match := _TOKEN.match(self.text, self.at)) is not None:
            self.at = match.end()
            number, name, sign = match.groups()
            if number is not None:
                if number[0] == "0" and number[1:].isdigit():
                    raise _No  # Octal: nobody writes a bitmap so, and many mean decimal.
                yield int(number, 0)
            elif name is not None:
                if name not in self.names:
                    raise _No
                yield self.names[name]
            else:
                yield sign
        while True:
            yield ""

    def take(self, sign: str) -> bool:
        if self.now != sign or not sign:
            return False
        self.now = next(self.tokens)
        return True

    def need(self, sign: str) -> None:
        if not self.take(sign):
            raise _No

    def list(self, depth: int) -> _Cells:
        """``{ ... }`` with its designators carried out."""
        if depth > _DEEPEST:
            raise _No
        self.need("{")
        cells: _Cells = []
        at = 0
        while not self.take("}"):
            last = at
            if self.take("["):
                at = last = self.expression()
                if self.take("..."):
                    last = self.expression()
                self.need("]")
                self.need("=")
            if not 0 <= at <= last < _LONGEST:
                raise _No
            value = self.list(depth + 1) if self.now == "{" else self.expression()
            cells += [0] * (last + 1 - len(cells))
            cells[at : last + 1] = [value] * (last + 1 - at)
            at = last + 1
            if not self.take(","):
                self.need("}")
                break
        return cells

    def expression(self, level: int = 0) -> int:
        if level == len(_LEVELS):
            return self.unary(0)
        value = self.expression(level + 1)
        while isinstance(self.now, str) and self.now in _LEVELS[level]:
            sign = self.now
            self.take(sign)
            value = _OPERATORS[sign](value, self.expression(level + 1))
        return value

    def unary(self, depth: int) -> int:
        if depth > _DEEPEST:
            raise _No
        if self.take("~"):
            return ~self.unary(depth + 1)
        if self.take("-"):
            return -self.unary(depth + 1)
        if self.take("("):
            self.open += 1
            if self.open > _DEEPEST:
                raise _No
            value = self.expression()
            self.open -= 1
            self.need(")")
            return value
        if not isinstance(self.now, int):
            raise _No
        number = self.now
        self.now = next(self.tokens)
        return number


def _divide(one: int, other: int) -> int:
    if one < 0 or other <= 0:
        raise _No
    return one // other


def _left(one: int, other: int) -> int:
    if not 0 <= other < 64 or abs(one) >> 64:
        raise _No
    return one << other


_OPERATORS: dict[str, Callable[[int, int], int]] = {
    "|": int.__or__,
    "^": int.__xor__,
    "&": int.__and__,
    "<<": _left,
    ">>": lambda one, other: one >> min(max(other, 0), 64),
    "+": int.__add__,
    "-": int.__sub__,
    "*": int.__mul__,
    "/": _divide,
}


def _names(text: str) -> dict[str, int]:
    """Constants that the text defines by plain expressions, in its order."""
    found = dict(_USUAL)
    for name, value in _DEFINE.findall(text):
        number = _value(value, found)
        if number is not None:
            found[name] = number
    for body in _enums(text):
        at = 0
        for each in body.split(","):
            name, equals, value = (part.strip() for part in each.partition("="))
            if equals:
                number = _value(value, found)
                if number is None:
                    break
                at = number
            if name:
                found[name] = at
            at += 1
    return found


def _enums(text: str) -> Iterator[str]:
    """What stands between the braces of each ``enum``."""
    at = text.find("enum")
    while at >= 0:
        brace = text.find("{", at, at + _DECLARED)
        if brace < 0:
            at = text.find("enum", at + 4)
            continue
        end = text.find("}", brace)
        if end < 0:
            return
        yield text[brace + 1 : end]
        at = text.find("enum", end)


def _size(words: str, names: dict[str, int]) -> int | None:
    return _value(words, names) if words.strip() else None


def _value(words: str, names: dict[str, int]) -> int | None:
    """The value of a constant expression of at most 200 characters; None if it is none."""
    if len(words) > 200:
        return None
    try:
        reader = _Reader(words, 0, names)
        value = reader.expression()
    except _No:
        return None
    return value if reader.now == "" and reader.text[reader.at :].strip() == "" else None
