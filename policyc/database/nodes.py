"""YAML of which nobody vouches for, as a plain tree: lists, mappings and text, each with its place.

Read from the parser's events, so that nothing is built of what is refused: anchors and aliases (a few lines of them
unfold to gigabytes), tags (a request for a Python object), several documents, deep nesting, more nodes than an honest
file has. Scalars stay text: ``010``, ``1:30`` and ``no`` mean what they say.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from policyc.vocabulary.diagnostic import Diagnostic, error
from policyc.vocabulary.span import Source, Span

LARGEST = 1 << 20
"""Characters of one file. The whole built-in database has fewer."""
DEEPEST = 4
"""Nesting: a list of entries, an entry, a list in it, and one for a clear message."""
MOST = 100_000
"""Nodes of one file."""


class Text(NamedTuple):
    """A scalar. quoted: written in quotes or as a block, so that it is never a number. span: its first line."""

    value: str
    quoted: bool
    span: Span


class List(NamedTuple):
    items: tuple[Node, ...]
    span: Span


class Map(NamedTuple):
    """Keys in the order written; a key may stand twice."""

    items: tuple[tuple[Node, Node], ...]
    span: Span


Node = Text | List | Map


class Refused(Exception):
    """The text is no tree that this module reads; carries the one diagnostic that says why."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(diagnostic.message)


def read(source: Source) -> Node | None:
    """The tree of one YAML text; None for an empty one. Refused with D001 or D006."""
    import yaml

    if len(source.text) > LARGEST:
        said = f"the file has {len(source.text):,} characters; a database file may have {LARGEST:,}"
        raise Refused(error("D006", said, Span(source, 0, 0), helps=("split it into several files",)))
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Builder(source).build(yaml.parse(source.text, Loader=loader))
    except yaml.MarkedYAMLError as reason:
        mark = reason.problem_mark or reason.context_mark
        at = 0 if mark is None else min(mark.index, len(source.text))
        said = " ".join(filter(None, (reason.problem, reason.context))) or "unknown reason"
        raise Refused(error("D001", f"this is not YAML: {said}", _point(source, at))) from None
    except yaml.reader.ReaderError as reason:
        at = min(reason.position, len(source.text)) if isinstance(reason.position, int) else 0
        said = f"this is not YAML text: {reason.reason}"
        raise Refused(error("D001", said, _point(source, at), helps=("write it in UTF-8",))) from None
    except (ValueError, UnicodeError) as reason:
        raise Refused(error("D001", f"this is not YAML text: {reason}", Span(source, 0, 0))) from None


def head(span: Span) -> Span:
    """The first line of a span, for messages about all of it."""
    end = min(at for at in (span.text.find("\n"), span.text.find("\r"), len(span.text)) if at >= 0)
    return Span(span.source, span.start, span.start + end)


def _point(source: Source, at: int) -> Span:
    """The character at an offset; at a line's end the point before the break."""
    return Span(source, at, at + (source.text[at : at + 1] not in ("", "\n", "\r")))


class _Builder:
    """Stacks the open lists and mappings; never recurses, so nesting costs a comparison."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.nodes = 0
        self.open: list[tuple[bool, int, list[Node]]] = []
        self.root: Node | None = None

    def build(self, events: Any) -> Node | None:
        documents = 0
        for event in events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    raise self.refuse("D001", "a second document starts here", event, "keep one list in one file")
            elif kind == "AliasEvent" or getattr(event, "anchor", None) is not None:
                mark = "*" if kind == "AliasEvent" else "&"
                said = f"`{mark}{event.anchor[:40]}`: anchors and aliases are not read"
                raise self.refuse("D001", said, event, "write each entry out")
            elif kind in ("ScalarEvent", "SequenceStartEvent", "MappingStartEvent"):
                self.begin(event, kind)
            elif kind in ("SequenceEndEvent", "MappingEndEvent"):
                self.close(event.end_mark.index)
        return self.root

    def refuse(self, code: str, said: str, event: Any, remedy: str) -> Refused:
        at = min(event.start_mark.index, len(self.source.text))
        return Refused(error(code, said, _point(self.source, at), helps=(remedy,)))

    def begin(self, event: Any, kind: str) -> None:
        self.nodes += 1
        if self.nodes > MOST:
            raise self.refuse("D006", f"more than {MOST:,} values in one file", event, "split it into several files")
        if event.tag not in (None, "!"):
            said = f"`{event.tag[:60]}`: YAML tags are not read"
            raise self.refuse("D001", said, event, "delete the tag; put text in quotes if it was to be text")
        start = event.start_mark.index
        if kind == "ScalarEvent":
            span = head(self.span(start, event.end_mark.index))
            self.add(Text(event.value, event.style is not None and event.style != "", span))
        elif len(self.open) == DEEPEST:
            raise self.refuse("D006", f"nested deeper than {DEEPEST} levels", event, "an entry is a flat mapping")
        else:
            self.open.append((kind == "MappingStartEvent", start, []))

    def close(self, end: int) -> None:
        mapping, start, items = self.open.pop()
        span = self.span(start, end)
        if mapping:
            self.add(Map(tuple(zip(items[::2], items[1::2], strict=True)), span))
        else:
            self.add(List(tuple(items), span))

    def add(self, node: Node) -> None:
        if self.open:
            self.open[-1][2].append(node)
        else:
            self.root = node

    def span(self, start: int, end: int) -> Span:
        """Without the blanks and line ends that block style counts to a node."""
        text = self.source.text
        end = min(end, len(text))
        while end > start and text[end - 1].isspace():
            end -= 1
        return Span(self.source, start, end)
