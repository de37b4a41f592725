"""Bytes to Source: what is not honest text is refused here, with its place, before anything is parsed."""

from __future__ import annotations

import re

from policyc.vocabulary.diagnostic import Diagnostic, Label, PolicyError, error
from policyc.vocabulary.digest import sha256
from policyc.vocabulary.span import Source, Span

MAX_LINE = 1 << 20
"""Characters of one line. A reviewer cannot read more, and a parser should not have to."""

_IMAGE_SIZES = {
    4096: "a VMX MSR bitmap, or one VMX I/O bitmap",
    8192: "a pair of VMX I/O bitmaps, or an SVM MSRPM",
    12288: "an SVM IOPM",
}
_HIDDEN = "[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
_MARKER = r"^(?:<{7}|\|{7}|={7}|>{7})(?=[ \r\n]|\Z)"
_LAID_OUT = dict.fromkeys(b"\t\n\f\r")
"""The characters that lay a text out: none is printable, and all may stand in it."""
_MOST = 20


def decode(name: str, data: bytes) -> Source:
    """The text of a policy file; a UTF-8 byte order mark is dropped.

    name: what messages call it. Raises PolicyError: E002 (not UTF-8 text), E004 (a line of over 1 MiB), E005 (merge
    conflict), E006 (characters that a reviewer cannot see).
    """
    digest = sha256(data).hexdigest()
    if data[:3] == b"\xef\xbb\xbf":
        data = data[3:]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as reason:
        raise PolicyError([_not_utf8(name, data, digest, reason)]) from None
    source = Source(name, text, digest)
    if "\0" in text:
        raise PolicyError([_nul(source, data)])
    problems = _hidden(source) + _conflicts(source) + _long_line(source)
    if problems:
        raise PolicyError(sorted(problems, key=Diagnostic.sort_key))
    return source


def _not_utf8(name: str, data: bytes, digest: str, reason: UnicodeDecodeError) -> Diagnostic:
    source = Source(name, data.decode("utf-8", "replace"), digest)
    at = len(data[: reason.start].decode("utf-8", "replace"))
    span = Span(source, at, at + 1)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return _wide(source, "UTF-32" if data[2:4] == b"\0\0" else "UTF-16")
    image = _image(data)
    if image is not None:
        return image_given(source, image)
    byte = data[reason.start]
    return error(
        "E002",
        f"byte 0x{byte:02x} is not UTF-8 text",
        span,
        f"at byte {reason.start} of the file",
        helps=("save the file as UTF-8", "outside comments, a policy is plain ASCII"),
    )


def _image(data: bytes) -> str | None:
    return _IMAGE_SIZES.get(len(data))


def image_given(source: Source, image: str) -> Diagnostic:
    """Someone hands a bitmap to a command that wants a policy."""
    return error(
        "E002",
        f"this is not a policy but {image}",
        Span(source, 0, min(1, len(source.text))),
        helps=("`policyc show` draws a raw image", "`policyc decompile` makes a policy of it"),
    )


def _wide(source: Source, encoding: str) -> Diagnostic:
    return error("E002", f"the file is {encoding}, not UTF-8", Span(source, 0, 1), helps=("save it as UTF-8",))


def _nul(source: Source, data: bytes) -> Diagnostic:
    image = _image(data)
    if image is not None:
        return image_given(source, image)
    at = source.text.index("\0")
    even, odd = source.text[0:8:2], source.text[1:8:2]
    for one, other in ((even, odd), (odd, even)):
        if one.count("\0") == 0 and other and other.count("\0") == len(other):
            return _wide(source, "UTF-16")
    return error(
        "E002",
        "the file holds a NUL byte",
        Span(source, at, at + 1),
        "text has none",
        helps=("is this a policy? `policyc show` draws raw images",),
    )


def hidden(text: str) -> str | None:
    """The first character of a text that a reviewer cannot see; None if there is none."""
    found = re.search(_HIDDEN, text)
    return None if found is None else found.group()


def _hidden(source: Source) -> list[Diagnostic]:
    if source.text.translate(_LAID_OUT).isprintable():
        return []
    found: list[Diagnostic] = []
    for match in re.finditer(_HIDDEN, source.text):
        if len(found) == _MOST:
            break
        char = match.group()
        why = "it can make the text look other than it is" if ord(char) > 0x9F else "it is a control character"
        found.append(
            error(
                "E006",
                f"the text holds an invisible character, U+{ord(char):04X}",
                Span(source, match.start(), match.end()),
                why,
                helps=("delete it",),
            )
        )
    return found


def _conflicts(source: Source) -> list[Diagnostic]:
    if "<" * 7 not in source.text:
        return []
    marks = [Span(source, *each.span()) for each in re.finditer(_MARKER, source.text, re.MULTILINE)]
    found: list[Diagnostic] = []
    for at, span in enumerate(marks):
        if span.text[0] != "<" or len(found) == _MOST:
            continue
        others = []
        for other in marks[at + 1 :]:
            if other.text[0] == "<":
                break
            others.append(Label(other, {"=": "theirs begins here", ">": "it ends here"}.get(other.text[0], "")))
        found.append(
            error(
                "E005",
                "a merge conflict is not resolved",
                span,
                "it begins here",
                secondary=tuple(others[:3]),
                helps=("keep one side, and delete the marker lines",),
            )
        )
    return found


def _long_line(source: Source) -> list[Diagnostic]:
    text, at = source.text, 0
    while at + MAX_LINE < len(text):
        # The last line end within what a line from here may have: the lines before it are short.
        end = max(text.rfind("\n", at, at + MAX_LINE + 1), text.rfind("\r", at, at + MAX_LINE + 1))
        if end < 0:
            message = f"a line has more than {MAX_LINE:,} characters"
            helps = ("inside braces a line may end after a comma", "split a long list over several rules")
            return [error("E004", message, Span(source, at, at + 1), helps=helps)]
        at = end + 1
    return []
