"""A text that is edited: after each change only the statements that changed are read again.

The text is kept as *parts*: a line, or the lines of one statement, each a Source of its own whose place in the file
moves while its nodes stay. The module that comes of it is the one that ``policyc.syntax.parser.parse`` gives, but for
comments and waivers, which are left out, and for its nodes' sources.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator
from typing import NamedTuple

from policyc.syntax import tree
from policyc.syntax.parser import MAX_PIECES, Parser, parse
from policyc.syntax.reader import decode
from policyc.syntax.statements import (
    CLOSE,
    COMMENT,
    MAX_MISTAKES,
    PROFILE_HEAD,
    STATEMENT,
    TEST_HEAD,
    Piece,
    unclosed,
    whole_lines,
)
from policyc.syntax.waivers import read_waiver
from policyc.vocabulary.diagnostic import Diagnostic, Edit, Fix, Label, PolicyError
from policyc.vocabulary.span import Source, Span

Value = tree.Statement | tree.Case | None


class Read(NamedTuple):
    """A piece that was read: its node, and what the parser and the tree's builder found wrong with it."""

    value: Value
    problems: list[Diagnostic]
    building: list[Diagnostic]


class Part(Source):
    """Whole lines of a file. base, before: characters and lines of the file above it. depth: blocks open there.
    alone: whether it is one statement and nothing else. node: it, once it was read without a mistake. splitting: what the
    braces get wrong."""

    __slots__ = ("_read", "alone", "base", "before", "depth", "lines", "node", "pieces", "splitting")

    def __init__(self, name: str, text: str, base: int, pieces: tuple[Piece, ...], splitting: list[Diagnostic]) -> None:
        super().__init__(name, text)
        self.base = base
        self.before = self.depth = 0
        self.lines = text.count("\n") + (text.count("\r") - text.count("\r\n") if "\r" in text else 0)
        self.pieces = pieces
        self.splitting = splitting
        self.alone = len(pieces) == 1 and pieces[0].kind == STATEMENT and not splitting
        self.node: Value = None
        self._read: dict[tuple[int, str, tuple[str, ...]], Read] = {}

    def position(self, offset: int) -> tuple[int, int]:
        line, column = super().position(offset)
        return line + self.before, column

    def line(self, number: int) -> str:
        return super().line(number - self.before)

    def line_start(self, number: int) -> int:
        return super().line_start(number - self.before)

    def read(self, parser: Parser, number: int, symbol: str, doc: tuple[str, ...]) -> Read:
        """A piece, read as ``symbol`` with a doc comment above it; the same node whenever that is asked.

        parser: any one; its source does not matter.
        """
        key = (number, symbol, doc)
        found = self._read.get(key)
        if found is None:
            parser.source = parser.builder.source = self
            parser.problems, parser.builder.problems = [], []
            value = parser.read(self.pieces[number], symbol, doc)
            found = self._read[key] = Read(value, parser.problems, parser.builder.problems)
        return found

    def waiver_problems(self, number: int) -> list[Diagnostic]:
        """What is wrong with the waiver in a comment."""
        key = (number, COMMENT, ())
        if key not in self._read:
            found: list[Diagnostic] = []
            piece = self.pieces[number]
            comment = tree.Comment(
                self.text[piece.start : piece.end], piece.own_line, Span(self, piece.start, piece.end)
            )
            read_waiver(self, comment, (1, 1), found)
            self._read[key] = Read(None, found, [])
        return self._read[key].problems


class EditedText:
    """One file as it is now."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._text: str | None = None
        self._parts: list[Part] = []
        self._result: tuple[tree.Module, list[Diagnostic]] | None = None
        self._parser = Parser(Source(name, ""))

    def read(self, text: str) -> tuple[tree.Module, list[Diagnostic]]:
        """The module of a new text, and what is wrong with it. Raises PolicyError as ``decode`` does."""
        if self._result is not None and text == self._text:
            return self._result[0], list(self._result[1])
        source = self._advance(text)
        made = _Assembler(source, self._parts, self._parser).run()
        if made is None:
            self._text, self._parts, made = None, [], parse(source)
        self._result = (made[0], list(made[1]))
        return made

    def _advance(self, text: str) -> Source:
        """Bring the parts up to date."""
        self._result = None
        old, self._text = self._text, None
        if old is None or text[:1] == "\ufeff":
            source = decode(self.name, text.encode())
            self._parts = self._split(source, 0, 0, 0, None)
        else:
            head, tail = common(old, text)
            first = max(0, bisect_right(self._parts, head, key=_base) - 2)
            at = self._parts[first].base if self._parts else 0
            edge = len(text) - tail
            self._look(text, at, edge)
            source = Source(self.name, text)
            self._splice(source, first, at, edge, len(text) - len(old))
        self._text = source.text
        return source

    def _look(self, text: str, at: int, edge: int) -> None:
        """Raise PolicyError if what is new is no honest text. The rest was looked at before."""
        try:
            # A line before, so that no byte order mark can stand at the beginning of what is decoded.
            decode(self.name, ("\n" + text[at : _line_end(text, edge)]).encode())
        except PolicyError:
            decode(self.name, text.encode())  # Says the same of the right places.

    def _splice(self, source: Source, first: int, at: int, edge: int, shift: int) -> None:
        """Split anew from the part before the change until the old parts fit again."""
        old = self._parts
        begin = old[first] if first < len(old) else None
        depth, before = (0, 0) if begin is None else (begin.depth, begin.before)
        old_at = first
        while old_at < len(old) and old[old_at].base + shift < edge:
            old_at += 1
        rest = _Rest(old, old_at, shift, old[first : first + 2])
        fresh = self._split(source, at, depth, before, rest)
        left = old[rest.number :]
        lines = (fresh[-1].before + fresh[-1].lines if fresh else before) - (left[0].before if left else 0)
        if shift or lines:
            for part in left:
                part.base += shift
                part.before += lines
        self._parts = [*old[:first], *fresh, *left]

    def _split(self, source: Source, at: int, depth: int, before: int, rest: _Rest | None) -> list[Part]:
        """Parts from an offset on, up to where the rest fits."""
        text, parts = source.text, []
        blocks = [0] * depth
        while at < len(text):
            if rest is not None and rest.fits(at, len(blocks)):
                break
            problems: list[Diagnostic] = []
            was = len(blocks)
            pieces, end = _collect(whole_lines(source, at, blocks, problems))
            end = min(end, len(text))
            kept = None if rest is None else rest.taken(text, at, end)
            if kept is not None and not (kept.alone and len(pieces) == 1):
                kept = None  # What a brace means depends on the blocks around it.
            part = kept or self._part(source, at, end, pieces, problems)
            part.base, part.before, part.depth = at, before, was
            before += part.lines
            parts.append(part)
            at = end
        else:
            if rest is not None:
                rest.number = len(rest.parts)
        return parts

    def _part(self, source: Source, at: int, end: int, pieces: list[Piece], problems: list[Diagnostic]) -> Part:
        local = tuple(Piece(each.kind, each.start - at, each.end - at, each.own_line) for each in pieces)
        part = Part(self.name, source.text[at:end], at, local, [])
        part.splitting = [_rebased(each, source, part) for each in problems]
        part.alone = part.alone and not problems
        return part


class _Rest:
    """The old parts behind a change, in the order in which new ones come upon them. shift: of their places.
    above: old parts just above the change."""

    def __init__(self, parts: list[Part], number: int, shift: int, above: list[Part]) -> None:
        self.parts = parts
        self.number = number
        self.shift = shift
        self.above = above

    def fits(self, at: int, depth: int) -> bool:
        """Whether an old part begins at an offset, in as many blocks as then."""
        while self.number < len(self.parts) and self.parts[self.number].base + self.shift < at:
            self.number += 1
        if self.number == len(self.parts):
            return False
        part = self.parts[self.number]
        return part.base + self.shift == at and part.depth == depth

    def taken(self, text: str, at: int, end: int) -> Part | None:
        """The old part of these characters, which is then not among the rest any more."""
        for part in self.above:
            if part.base == at and part.text == text[at:end]:
                return part
        if self.number < len(self.parts):
            part = self.parts[self.number]
            if part.base + self.shift == at and len(part.text) == end - at:
                self.number += 1
                return part
        return None


def _base(part: Part) -> int:
    return part.base


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def _collect(walker: Generator[Piece, None, int]) -> tuple[list[Piece], int]:
    """What a generator yields, and what it returns."""
    found = []
    while True:
        try:
            found.append(next(walker))
        except StopIteration as end:
            return found, int(end.value)


def _rebased(found: Diagnostic, source: Source, part: Part) -> Diagnostic:
    """A diagnostic about a file, as one about a part of it."""

    def span(at: Span) -> Span:
        return Span(part, at.start - part.base, at.end - part.base) if at.source is source else at

    return found._replace(
        primary=None if found.primary is None else Label(span(found.primary.span), found.primary.text),
        secondary=tuple(Label(span(each.span), each.text) for each in found.secondary),
        fixes=tuple(
            Fix(fix.title, tuple(Edit(span(each.span), each.text) for each in fix.edits), fix.safe, fix.doubt)
            for fix in found.fixes
        ),
    )


def common(old: str, new: str) -> tuple[int, int]:
    """Characters that two texts have in common at their beginnings, and at their ends; these never overlap.

    Found by halving: comparing slices costs next to nothing, a loop over the characters would not.
    """
    most = min(len(old), len(new))
    head = _longest(most, lambda size: old[:size] == new[:size])
    tail = _longest(most - head, lambda size: size == 0 or old[-size:] == new[-size:])
    return head, tail


def _longest(most: int, holds: Callable[[int], bool]) -> int:
    """The largest size up to most for which holds is true; it is true for 0 and never again once it is false."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


class _Assembler(Parser):
    """Puts the values of parts together as the parser does those of pieces. parser: reads pieces that are new."""

    def __init__(self, source: Source, parts: list[Part], parser: Parser) -> None:
        super().__init__(source)
        self.parts = parts
        self.parser = parser
        self.part = Part("", "", 0, (), [])
        self.number = 0
        self.splitting: list[Diagnostic] = []
        self.building: list[Diagnostic] = []
        self.open: list[tuple[Part, int]] = []

    def run(self) -> tuple[tree.Module, list[Diagnostic]] | None:  # type: ignore[override]
        """As Parser.run; None where there are so many pieces or mistakes that the parser stops somewhere."""
        count = 0
        for part in self.parts:
            if part.alone and not self.blocks and not self.doc:
                count += 1
                if part.node is None:
                    self.alone(part)
                    if self.mistakes() >= MAX_MISTAKES:
                        return None
                else:
                    self.statements.append(part.node)  # type: ignore[arg-type]
            else:
                count += len(part.pieces)
                self.whole(part)
                if self.mistakes() >= MAX_MISTAKES:
                    return None
        for part, at in self.open:
            self.splitting.append(unclosed(self.source, part.base + at, len(self.source.text)))
        while self.blocks:
            self.close()
        problems = self.problems + self.splitting + self.building
        if count > MAX_PIECES or len(problems) >= MAX_MISTAKES:
            return None
        problems += self.order()
        problems.sort(key=Diagnostic.sort_key)
        return tree.Module(self.source, tuple(self.statements), (), ()), problems

    def mistakes(self) -> int:
        return len(self.problems) + len(self.splitting) + len(self.building)

    def alone(self, part: Part) -> None:
        """A part that is one statement outside blocks, below no comment, and new or wrong."""
        self.whole(part)
        read = part.read(self.parser, 0, STATEMENT, ())
        if not (read.problems or read.building):
            part.node = read.value

    def whole(self, part: Part) -> None:
        """One part, piece by piece."""
        self.part = part
        self.splitting += part.splitting
        for self.number, piece in enumerate(part.pieces):
            there = Piece(piece.kind, part.base + piece.start, part.base + piece.end, piece.own_line)
            if piece.kind == COMMENT:
                self.comment(there)
            elif piece.kind == CLOSE:
                self.open.pop()
                self.close()
            else:
                self.statement(there)
                if piece.kind in (PROFILE_HEAD, TEST_HEAD):
                    self.open.append((part, piece.end - 1))

    def comment(self, piece: Piece) -> None:
        super().comment(piece)
        if "policyc" in self.source.text[piece.start : piece.end]:
            self.problems += self.part.waiver_problems(self.number)

    def waive(self, comment: tree.Comment, covers: tuple[int, int]) -> None:
        """Waivers are lint's affair; what is wrong with one was told with its comment."""

    def read(self, piece: Piece, symbol: str, doc: tuple[str, ...]) -> Value:
        found = self.part.read(self.parser, self.number, symbol, doc)
        self.problems += found.problems
        self.building += found.building
        return found.value
