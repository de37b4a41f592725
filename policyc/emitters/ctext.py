"""Policy text in C: comments that cannot end early, and identifiers that a compiler and a linker accept."""

from __future__ import annotations

import re

COLUMNS = 80
TAB = 8
PREFIX_LENGTH = 24
"""Characters kept of a policy's name: with what is appended, names stay within the 63 that C11 5.2.4.1 promises."""

_UNSAFE = re.compile(r"[^ -~]|\\")
_APART = (("*/", "* /"), ("/*", "/ *"), ("??", "? ?"))
_ODD = re.compile(r"[^ -~]|\\|\*/|/\*|\?\?")


def comment(text: str) -> str:
    """Text for inside a comment: one line, printable ASCII, and nothing that a preprocessor would act on.

    Other characters, bidirectional marks among them, are written as ``<U+202E>``; so is the backslash, which would
    splice lines. ``*/``, ``/*`` and ``??`` (trigraphs) are taken apart.
    """
    if not _ODD.search(text):
        return text
    text = _UNSAFE.sub(lambda found: f"<U+{ord(found.group()):04X}>", text)
    for sign, apart in _APART:
        while sign in text:
            text = text.replace(sign, apart)
    return text


def wrapped(text: str, tabs: int) -> tuple[str, ...]:
    """A comment's text in lines that fit behind ``tabs`` tabs and `` * ``."""
    import textwrap

    return tuple(textwrap.wrap(comment(text), COLUMNS - TAB * tabs - 3, break_long_words=True))


def shortened(text: str, most: int) -> str:
    """At most that many characters, the middle left out of longer ones."""
    if len(text) <= most:
        return text
    tail = (most - 3) * 2 // 3
    return text[: most - 3 - tail] + "..." + text[len(text) - tail :]


def identifier(name: str) -> str:
    """A part of a C identifier made of any name: ASCII letters, digits and single underscores; never empty."""
    return re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_")[:PREFIX_LENGTH].strip("_") or "policy"


def prefix(name: str) -> str:
    """What all names of a policy begin with, the underscore that follows left out.

    With it no name is a keyword or reserved: it starts with a letter, and not with the ``policyc`` of the shared types.
    """
    made = identifier(name)
    return f"policy_{made}" if made[0].isdigit() or made.lower().split("_")[0] == "policyc" else made


def string(text: str) -> str:
    """A C string literal. Bytes outside printable ASCII are octal escapes, which always have three digits."""
    out = []
    for byte in text.encode("utf-8", "surrogateescape"):
        char = chr(byte)
        out.append(char if " " <= char <= "~" and char not in '"\\?' else f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


def forwards(header: str) -> list[tuple[str, str]]:
    """The functions that a generated header says ``forward`` calls, and their space, ``msr`` or ``port``."""
    declared = r"^enum policyc_status (\w+)\(void \*context,\s+struct policyc_(msr|port) \*access\);"
    return [(name, space) for name, space in re.findall(declared, header, re.MULTILINE)]
