"""Images in text: what hex dumps and C arrays in somebody's source stand for.

Read are the forms of ``xxd``, ``xxd -p``, ``hexdump -C`` (with ``*`` for repeated lines), ``od -Ax -tx1`` and C or Rust
initialisers whose elements have 1, 2, 4 or 8 bytes, lowest byte first, as the processors that read the images have it.
"""

from __future__ import annotations

import re

from policyc.analyses.images import BY_SIZE

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_NUMBER = re.compile(r"\b(0[xX][0-9a-fA-F_]+|[0-9][0-9_]*)(?:[uUlL]+|_?u(?:8|16|32|64))?\b")
_LINE = re.compile(r"^([0-9a-fA-F]{4,16}):?[ \t]+((?:[0-9a-fA-F]{2,}[ \t]*)+?)(?:[ \t]{2,}.*|[ \t]*\|.*)?$")
_END = re.compile(r"^[0-9a-fA-F]{4,16}:?$")
_WORD = (1, 2, 4, 8)


def bytes_of(text: str) -> bytes | None:
    """The bytes that a text shows, None if they are no image's: their number is that of one."""
    for reader in (_array, _plain, _dump):
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
    numbers = [int(each.replace("_", ""), 0) for each in _NUMBER.findall(body[: end.start()] if end else body)]
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
        words = line.rstrip()
        if words.strip() == "*":
            repeat = True
            continue
        end, match = _END.match(words.strip()), _LINE.match(words.strip())
        if end is None and match is None:
            if words:
                return None
            continue
        offset = int((match.group(1) if match else words).strip().rstrip(":"), 16)
        if repeat and last:
            data += last * ((offset - len(data)) // len(last))
        if offset != len(data):
            return None
        repeat = False
        if match:
            last = bytes.fromhex("".join(match.group(2).split()))
            data += last
    return bytes(data)
