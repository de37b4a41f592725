"""JSON whose every value knows its place, so that what is wrong with it can be shown where it stands.

Stricter than JSON in general: numbers are whole, no member stands twice, and depth, size and count have limits.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Any, NamedTuple

from policyc.vocabulary.diagnostic import Diagnostic, PolicyError, error
from policyc.vocabulary.digest import sha256
from policyc.vocabulary.span import Source, Span

MAX_BYTES = 64 << 20
MAX_DEPTH = 16
MAX_VALUES = 4_000_000
"""A policy of 100,000 rules has about 22 MB and 1,800,000 values, which nest 6 deep."""

Path = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t\r\n]*+")
_TOKEN = re.compile(
    r"""[{}\[\],:]
    |"[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+"
    |-?(?:0|[1-9][0-9]*+)(?![0-9.eE])
    |true\b|false\b|null\b""",
    re.VERBOSE,
)
_WORDS = {"true": True, "false": False, "null": None}
_LONGEST_NUMBER = 20
"""Characters; 2^64 - 1 has as many digits."""


class Node(NamedTuple):
    """value: a dict of Nodes, a list of Nodes, a string, whole number, boolean or None; characters start..end-1."""

    value: Any
    start: int
    end: int


def decode_json(name: str, data: bytes) -> Source:
    """The text of a document, in UTF-8 as RFC 8259 wants it. Raises PolicyError E002."""
    digest = sha256(data).hexdigest()
    try:
        return Source(name, data.removeprefix(b"\xef\xbb\xbf").decode("utf-8"), digest)
    except UnicodeDecodeError as reason:
        said = f"byte {reason.start} is not UTF-8 text, and a resolved policy is JSON in UTF-8"
        raise PolicyError([error("E002", said, Span(Source(name, ""), 0, 0))]) from None


def read(source: Source) -> Node:
    """The document. Raises PolicyError: E091 for what is not such JSON, E004 for what passes a limit."""
    return _Reader(source).document()


def plain(node: Node) -> Any:
    """The value without places."""
    value = node.value
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def pointer(path: Path) -> str:
    """As RFC 6901 writes it: ``/rules/3/verb``; empty for the whole document."""
    return "".join(f"/{each}" if isinstance(each, int) else "/" + _escaped(each) for each in path)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def find(root: Node, path: Path) -> Node:
    """The node at a path, or the deepest one on the way to it that there is."""
    node = root
    for each in path:
        value = node.value
        known = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        if each not in known:
            break
        node = value[each]
    return node


def path_at(root: Node, offset: int) -> Path:
    """The path of the innermost value that holds a character. O(depth * log n)."""
    path: list[str | int] = []
    node = root
    while isinstance(node.value, dict | list) and node.value:
        keys = list(node.value) if isinstance(node.value, dict) else range(len(node.value))
        children = list(node.value.values()) if isinstance(node.value, dict) else node.value
        number = bisect_right(children, offset, key=lambda each: each.start) - 1
        if number < 0 or offset >= children[number].end:
            break
        path.append(keys[number])
        node = children[number]
    return tuple(path)


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.values = 0

    def document(self) -> Node:
        root = self.value(0, 0)
        end = self.skip(root.end)
        if end < len(self.text):
            raise self.wrong("the document ends, and more follows", end)
        return root

    def skip(self, at: int) -> int:
        found = _SPACE.match(self.text, at)
        return at if found is None else found.end()

    def token(self, at: int) -> tuple[str, int, int]:
        """The next token and its place."""
        at = self.skip(at)
        found = _TOKEN.match(self.text, at)
        if found is None:
            raise self.unknown(at)
        return found.group(), at, found.end()

    def value(self, at: int, depth: int) -> Node:
        word, start, end = self.token(at)
        self.values += 1
        if self.values > MAX_VALUES:
            raise self.wrong(f"the document has over {MAX_VALUES:,} values", start, code="E004")
        if word in "{[":
            if depth == MAX_DEPTH:
                raise self.wrong(f"the document nests over {MAX_DEPTH} deep", start, code="E004")
            return self.members(start, end, depth) if word == "{" else self.items(start, end, depth)
        if word[0] == '"':
            return Node(self.string(word, start), start, end)
        if word in _WORDS:
            return Node(_WORDS[word], start, end)
        if word in "}],:":
            raise self.wrong(f"a value is missing before `{word}`", start)
        if len(word) > _LONGEST_NUMBER:
            raise self.wrong("a number of more than 64 bits", start)
        return Node(int(word), start, end)

    def members(self, start: int, at: int, depth: int) -> Node:
        found: dict[str, Node] = {}
        word, key_at, end = self.token(at)
        while word != "}":
            if word[0] != '"':
                raise self.wrong(f"the name of a member is missing before `{word}`", key_at)
            key = self.string(word, key_at)
            if key in found:
                raise self.wrong(f"the member {word} stands twice in one object", key_at)
            word, colon, end = self.token(end)
            if word != ":":
                raise self.wrong(f"a colon is missing before `{word}`", colon)
            found[key] = node = self.value(end, depth + 1)
            word, key_at, end = self.token(node.end)
            if word == ",":
                word, key_at, end = self.token(end)
                if word != "}":
                    continue
                raise self.wrong("a comma is followed by no member", key_at)
            if word != "}":
                raise self.wrong(f"a comma is missing before `{word}`", key_at)
        return Node(found, start, end)

    def items(self, start: int, at: int, depth: int) -> Node:
        found: list[Node] = []
        word, comma, end = self.token(at)
        if word == "]":
            return Node(found, start, end)
        while True:
            found.append(node := self.value(at, depth + 1))
            word, comma, at = self.token(node.end)
            if word == "]":
                return Node(found, start, at)
            if word != ",":
                raise self.wrong(f"a comma is missing before `{word}`", comma)

    def string(self, word: str, at: int) -> str:
        if "\\" not in word:
            return word[1:-1]
        import json

        try:
            return str(json.loads(word))
        except ValueError:
            raise self.wrong("a string has an escape that JSON does not know", at) from None

    def unknown(self, at: int) -> PolicyError:
        if at >= len(self.text):
            return self.wrong("the document ends before it is whole", len(self.text))
        char = self.text[at]
        if char == '"':
            return self.wrong("a string does not end, or holds a control character", at)
        if char in "-0123456789":
            return self.wrong("numbers are whole here, and begin with no 0", at)
        return self.wrong("this is not JSON", at)

    def wrong(self, said: str, at: int, code: str = "E091") -> PolicyError:
        found: Diagnostic = error(code, said, Span(self.source, at, min(at + 1, len(self.text))))
        return PolicyError([found])
