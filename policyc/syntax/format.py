"""A policy's text as policyc writes it: one layout for each statement, and every word, comment and number kept.

Spaces, line ends and the comma behind the last line of a set are the formatter's; what stands on which line of a set,
and where a blank line separates statements, is the author's: sets are grouped by meaning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from policyc.syntax import tree
from policyc.syntax._tables import TOKEN
from policyc.syntax.statements import CLOSE, COMMENT, PROFILE_HEAD, TEST_HEAD, pieces
from policyc.syntax.words import KEYWORDS
from policyc.vocabulary.span import Source, Span

WIDTH = 120
"""Columns of a line. A longer set is wrapped; what cannot be, and comments, may be longer."""

_INDENT = "    "
_TOKEN = re.compile(TOKEN, re.ASCII)
_LINE_END = re.compile(r"\r\n|\n|\r")
_TIGHT_BEFORE = frozenset({",", ")", "]", ":", "..", ".", "["})
_TIGHT_AFTER = frozenset({"(", "[", "~", "..", "."})
_ACTION_AFTER = frozenset({"->", "=>", "==", ","})
_WORD = re.compile(r"[A-Za-z_`]")


class _Token(NamedTuple):
    """text: as it is to be written. space: one stands before it on a line. comment: it is one.
    ends: line ends between it and the token before. continued: a backslash is there as well."""

    text: str
    space: bool
    comment: bool
    ends: int
    continued: bool


class _Entry(NamedTuple):
    """What a set holds. text: an item, or nothing for a comment that has a line of its own, or the brace's line.
    comment: at the end of its line. begins, blank: whether a new line, or a blank one, was before it."""

    text: str
    comment: str
    begins: bool
    blank: bool


def formatted(source: Source) -> str:
    """The text of a policy that was parsed without a mistake, laid out; it ends with a line end unless it is empty."""
    return _Layout(source).text()


class _Layout:
    """Puts the pieces of a file below one another."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.lines: list[str] = []
        self.depth = 0
        self.end = 0
        self.opened = self.empty = False
        """Whether the last line opens a block; and whether not even a comment stands behind its brace."""

    def text(self) -> str:
        statement_end = 0
        for piece in pieces(self.source, []):
            if piece.kind == COMMENT and piece.start < statement_end:
                continue
            written = self.source.text[piece.start : piece.end]
            if piece.kind == COMMENT:
                self.comment(written.rstrip(" \t\f"), piece.own_line, piece.start)
            elif piece.kind == CLOSE:
                self.close()
            else:
                self.statement(written, piece.kind in (PROFILE_HEAD, TEST_HEAD), piece.start)
                statement_end = piece.end
            self.end = piece.end
        return "".join(f"{line}\n" for line in self.lines)

    def add(self, lines: Sequence[str], start: int) -> None:
        """Lines of a piece that begins at start; a blank one above if there was any, but not where a block begins."""
        if self.lines and not self.opened and len(_LINE_END.findall(self.source.text, self.end, start)) > 1:
            self.lines.append("")
        self.lines += lines
        self.opened = self.empty = False

    def statement(self, written: str, head: bool, start: int) -> None:
        self.add(_statement(written, self.depth, head), start)
        self.opened = self.empty = head
        self.depth += head

    def comment(self, text: str, own_line: bool, start: int) -> None:
        if own_line:
            self.add([_INDENT * self.depth + text], start)
        else:
            self.lines[-1] += f"  {text}"
            self.empty = False

    def close(self) -> None:
        self.depth -= 1
        if self.empty:
            self.lines[-1] += "}"
        else:
            self.lines.append(_INDENT * self.depth + "}")
        self.opened = self.empty = False


def _statement(written: str, depth: int, head: bool) -> list[str]:
    """The lines of a statement, or of what opens a block.

    The first of these that fits: all on one line but for sets that stand on several; these sets on several lines as
    well that need not; and both with the backslashes that the author wrote.
    """
    tokens = _tokens(written)
    lines: list[str] = []
    for continued in (False, True) if any(each.continued for each in tokens) else (False,):
        for broken in (False,) if head else (False, True):
            lines = _Lines(tokens, depth, head, continued, broken).lines
            if all(_width(line) <= WIDTH for line in lines):
                return lines
    return lines


def _width(line: str) -> int:
    """Columns of a line without the comment at its end."""
    return len(line.partition("  #")[0]) if line.lstrip()[:1] != "#" else 0


def _tokens(text: str) -> list[_Token]:
    out: list[_Token] = []
    before, last, blank = "", "", ""
    at = brackets = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found is not None, "only what was parsed is laid out"
        word, group, at = found.group(), found.lastgroup, found.end()
        if group == "BLANK":
            blank = word
            continue
        comment = group == "COMMENT"
        word = word.rstrip(" \t\f") if comment else word.lower() if group == "NUMBER" else word
        space = _spaced(before, last, word, brackets)
        out.append(_Token(word, space, comment, len(_LINE_END.findall(blank)), "\\" in blank))
        blank = ""
        if not comment:
            brackets += (word in ("(", "[")) - (word in (")", "]"))
            before, last = last, word
    return out


def _spaced(before: str, last: str, word: str, brackets: int) -> bool:
    """Whether a space stands between last and word. before: what stands before last. brackets: open ones."""
    if not last or word in _TIGHT_BEFORE or last in _TIGHT_AFTER:
        return False
    if word == "(" and _WORD.match(last) is not None:
        return last in KEYWORDS and before not in _ACTION_AFTER
    return not (brackets and "=" in (word, last))


class _Lines:
    """Writes one statement. head: it ends with the brace of a block. continued: keep backslashes. broken: every set on
    lines of its own."""

    def __init__(self, tokens: Sequence[_Token], depth: int, head: bool, continued: bool, broken: bool) -> None:
        self.broken = broken
        self.indent = _INDENT * depth
        self.lines = [self.indent]
        at, size = 0, len(tokens)
        while at < size:
            token = tokens[at]
            if at and continued and token.continued:
                self.lines[-1] += " \\"
                self.lines.append(self.indent + _INDENT)
            elif token.space:
                self.lines[-1] += " "
            if token.text == "{" and not (head and at == size - 1):
                end = next(each for each in range(at, size) if tokens[each].text == "}")
                self.set(tokens[at + 1 : end], tokens[end].ends)
                at = end + 1
            else:
                self.lines[-1] += token.text
                at += 1

    def set(self, tokens: Sequence[_Token], ends_after: int) -> None:
        """A set from its opening brace to its closing one."""
        entries = _entries(tokens)
        if not entries:
            self.lines[-1] += "{}"
        elif self.broken or ends_after or any(each.ends for each in tokens):
            self.lines[-1] += "{"
            self.entries(entries)
            self.lines.append(self.indent + "}")
        else:
            self.lines[-1] += f"{{ {', '.join(each.text for each in entries)} }}"

    def entries(self, entries: Sequence[_Entry]) -> None:
        inner = self.indent + _INDENT
        room = False
        for number, each in enumerate(entries):
            text = f"{each.text}," if each.text else each.comment
            if each.blank and number:
                self.lines.append("")
            if not each.text and not number and not each.begins:
                self.lines[-1] += f"  {text}"
            elif each.text and room and not each.begins and len(self.lines[-1]) + 1 + len(text) <= WIDTH:
                self.lines[-1] += f" {text}"
            else:
                self.lines.append(inner + text)
            if each.text and each.comment:
                self.lines[-1] += f"  {each.comment}"
            room = bool(each.text) and not each.comment


def _entries(tokens: Sequence[_Token]) -> list[_Entry]:
    """The items and comments between the braces of a set. A comment inside an item goes before or behind it."""
    out: list[_Entry] = []
    item: list[_Token] = []
    for at, token in enumerate(tokens):
        complete = token.comment and next((each.text for each in tokens[at:] if not each.comment), ",") == ","
        if item and (complete or token.text == ","):
            out.append(_item(item))
            item = []
        if not token.comment:
            item += [] if token.text == "," else [token]
        elif token.ends or not (item or out):
            out.append(_Entry("", token.text, token.ends > 0, token.ends > 1))
        elif item and not any(each.comment for each in item):
            item.append(token)
        elif not item and out[-1].text and not out[-1].comment:
            out[-1] = out[-1]._replace(comment=token.text)
        else:
            out.append(_Entry("", token.text, True, False))
    if item:
        out.append(_item(item))
    return out


def _item(tokens: Sequence[_Token]) -> _Entry:
    text = "".join(" " * each.space + each.text for each in tokens if not each.comment).lstrip()
    comment = " ".join(each.text for each in tokens if each.comment)
    return _Entry(text, comment, tokens[0].ends > 0, tokens[0].ends > 1)


# The same meaning


def stripped(value: Any) -> Any:
    """A tree or a resolved policy without its places in the text, and doc comments without blanks at line ends."""
    if isinstance(value, Span | Source):
        return None
    if isinstance(value, tree.Word):
        return value.text
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        if names is None:
            return tuple(map(stripped, value))
        doc = "doc" in names
        return type(value).__name__, *(
            tuple(each.rstrip() for each in part) if doc and name == "doc" else stripped(part)
            for name, part in zip(names, value, strict=True)
        )
    return value


def same(one: tree.Module, other: tree.Module) -> bool:
    """Whether two modules say the same: statements, comments, and what each waiver covers."""
    return (
        stripped(one.statements) == stripped(other.statements)
        and sorted(each.text.rstrip() for each in one.comments) == sorted(each.text.rstrip() for each in other.comments)
        and _waivers(one) == _waivers(other)
    )


def _waivers(module: tree.Module) -> list[Any]:
    """The waivers, with the number of the last piece on the lines that each covers instead of these lines."""
    position = module.source.position
    last = {}
    for number, piece in enumerate(each for each in pieces(module.source, []) if each.kind not in (COMMENT, CLOSE)):
        last[position(piece.start)[0], position(piece.end - 1)[0]] = number
    return sorted(
        (repr(stripped(each._replace(covers=None))), "all" if each.covers is None else str(last.get(each.covers)))
        for each in module.waivers
    )
