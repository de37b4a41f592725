"""Raw images on a command line: files, or text that shows one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policyc.analyses.images import Exits

AS = ("msr", "io", "msrpm", "iopm", "kvm")
_LARGEST = 1 << 24
"""Bytes of a file that may show an image."""


def load(word: str, kind: str | None) -> tuple[Exits, bytes]:
    """What exits under an image, and its bytes. word: a path, ``-`` for standard input. kind: what ``--as`` says.

    Raises UnreadableError for what is no image, and no hex dump or C array of one.
    """
    from policyc.analyses.dumps import bytes_of
    from policyc.analyses.images import kinds_of, read_image
    from policyc.cli.subjects import unless_plain
    from policyc.syntax.files import note, note_stdin
    from policyc.vocabulary.diagnostic import UnreadableError

    if word == "-":
        data = sys.stdin.buffer.read(_LARGEST)
        note_stdin()
    else:
        with open(word, "rb") as stream:
            data = stream.read(_LARGEST)
            note(os.fstat(stream.fileno()))
    if not kinds_of(data) or _textual(data):
        shown = bytes_of(data.decode("utf-8", "replace"))
        data = data if shown is None else shown
    if not kinds_of(data):
        raise UnreadableError(f"{word} is no image, and no hex dump or C array of one: {len(data):,} bytes")
    try:
        return read_image(unless_plain(word, data, kind), data), data
    except ValueError as reason:
        raise UnreadableError(f"{word}: {reason}") from None


def _textual(data: bytes) -> bool:
    """Whether it begins like a C array, and not like the JSON of a KVM filter."""
    return data[:1] == b"{" and b'"' not in data[:64]
