"""Texts that an editor has open. What it says of a file counts, not what is on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from lsprotocol import types
from pygls.uris import from_fs_path, to_fs_path

from policyc.lsp.places import offset
from policyc.syntax.files import LIMIT
from policyc.vocabulary.span import Source

MOST_OPEN = 500
"""Documents that are kept; an editor that opens more is told nothing about the rest."""

_SURROGATE_PAIRS = "utf-16"


class Document:
    """One open text. path: of its file; for a text without one (``untitled:``) its URI. too_large: over LIMIT bytes,
    the text is not kept until the editor sends all of it again."""

    def __init__(self, uri: str, path: str, text: str, version: int | None) -> None:
        self.uri = uri
        self.path = path
        self.version = version
        self.too_large = False
        self.source = Source(path, "")
        self._set(text)

    def change(self, changes: Iterable[types.TextDocumentContentChangeEvent], encoding: str) -> None:
        """Apply the editor's changes in their order."""
        for each in changes:
            if isinstance(each, types.TextDocumentContentChangeWholeDocument):
                self._set(each.text)
            elif not self.too_large:
                old = self.source
                start, end = offset(old, each.range.start, encoding), offset(old, each.range.end, encoding)
                self._set(old.text[:start] + whole(each.text) + old.text[max(start, end) :], checked=True)

    def _set(self, text: str, checked: bool = False) -> None:
        text = text if checked else whole(text)
        self.too_large = len(text) > LIMIT
        self.source = Source(self.path, "" if self.too_large else text)


def whole(text: str) -> str:
    """The text with U+FFFD for every surrogate without its partner: JSON can carry them, UTF-8 cannot."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(_SURROGATE_PAIRS, "surrogatepass").decode(_SURROGATE_PAIRS, "replace")
    return text


def path_of(uri: str) -> str | None:
    """The path of a file's URI; None for URIs that are no local file."""
    try:
        parts = urlsplit(uri)
        path = to_fs_path(uri) if parts.scheme == "file" else None
    except ValueError:
        return None
    if not path or "\0" in unquote(path):
        return None
    return os.path.normpath(path)


def uri_of(path: str) -> str:
    """The URI of a file."""
    return from_fs_path(path) or path
