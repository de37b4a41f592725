"""Images in text: what hex dumps and C arrays in somebody's source stand for.

Read are the forms of ``xxd``, ``xxd -p``, ``hexdump`` with and without ``-C`` (with ``*`` for repeated lines), ``od -Ax``
with ``-tx1`` to ``-tx8``, and C or Rust initialisers whose elements have 1, 2, 4 or 8 bytes, lowest byte first, as the processors that read the images have it;
in C with designators, nested arrays and expressions too (initialisers.py).
"""

from __future__ import annotations

import re

from policyc.analyses import initialisers
from policyc.analyses.images import BY_SIZE

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_NUMBER = re.compile(r"\b(0[xX][0-9a-fA-F_]+|[0-9][0-9_]*)(?:[uUlL]+|_?u(?:8|16|32|64))?\b")
_OFFSET = re.compile(r"([0-9a-fA-F]{4,16})(:?)(?:[ \t]+(.*))?")
_BYTES = re.compile(r"(?:[0-9a-fA-F]{2})+")
_WORD = (1, 2, 4, 8)
_LARGEST = max(BY_SIZE)


def bytes_of(text: str) -> bytes | None:
    """The bytes that a text shows, None if they are no image's: their number is that of one."""
    for reader in (initialisers.bytes_of, _array, _plain, _dump):
        found = reader(text)
        if found is not None and len(found) in BY_SIZE:
            return found
    return None


def _array(text: str) -> bytes | None:
    """The elements between the first brace or bracket that holds numbers and its end."""
    start = re.search(r"=\s*&?\s*[{\[]|^\s*[{\[]", _COMMENT.sub(" ", text), re.MULTILINE)
    if start is None:
        return None
    body = _COMMENT.sub(" ", text)[start.end() :]
    end = re.search(r"[}\]]", body)
    try:
        numbers = [int(each.replace("_", ""), 0) for each in _NUMBER.findall(body[: end.start()] if end else body)]
    except ValueError:  # An octal number, or digits that belong to no base.
        return None
    for width in _WORD:
        if len(numbers) * width in BY_SIZE and max(numbers) < 1 << 8 * width:
            return b"".join(each.to_bytes(width, "little") for each in numbers)
    return None


def _plain(text: str) -> bytes | None:
    """Hexadecimal digits and nothing else."""
    digits = "".join(text.split())
    if len(digits) % 2 or not re.fullmatch(r"[0-9a-fA-F]+", digits):
        return None
    return bytes.fromhex(digits)


def _dump(text: str) -> bytes | None:
    """Lines of an offset and bytes; what the offsets leave out repeats the line before a ``*``."""
    data = bytearray()
    last, repeat = b"", False
    for line in text.splitlines():
        words = line.strip()
        if not words:
            continue
        if words == "*":
            repeat = True
            continue
        match = _OFFSET.fullmatch(words)
        if match is None:
            return None
        offset, shown = int(match[1], 16), _line(match[3] or "", bool(match[2]))
        if repeat and last and len(data) < offset <= _LARGEST:
            data += last * ((offset - len(data)) // len(last))
        if offset != len(data) or shown is None:
            return None
        repeat = False
        if shown:
            last = shown
            data += shown
    return bytes(data)


def _line(words: str, colon: bool) -> bytes | None:
    """The bytes behind an offset, without the characters beside them: behind two spaces after xxd's colon, or a bar."""
    digits = words.partition("  ")[0] if colon else re.split(r"[|>]", words, maxsplit=1)[0]
    parts = digits.split()
    if not all(_BYTES.fullmatch(each) for each in parts):
        return None
    shown = [bytes.fromhex(each) for each in parts]
    turned = [each[::-1] for each in shown]
    if colon:  # Pairs are in order; of longer groups only the characters beside them tell xxd -g from xxd -e.
        return b"".join(shown) if shown == turned or all(len(each) <= 2 for each in shown) else None
    widths = {len(each) for each in shown}
    if len(widths) > 1:
        return None
    # hexdump and od -tx2 show words as a register has them: the lowest byte last.
    return b"".join(turned if widths <= set(_WORD) else shown)
