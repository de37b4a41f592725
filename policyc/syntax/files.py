"""Reading files that nobody vouches for: regular ones only, up to a limit, never waiting."""

from __future__ import annotations

import os
import stat

from policyc.vocabulary.diagnostic import UnreadableError

LIMIT = 16 << 20
"""Bytes of one policy file. 100,000 rules of 60 characters are 6 MB."""

_read: set[tuple[int, int]] | None = None
"""Device and inode of what was read since watch(); None where nobody wants to know."""


def watch() -> None:
    """Remember the files that are read from now on, whoever reads them: was_read() answers.

    For the whole process: what a command reads is known to readers at the bottom of every layer, and an output that
    destroys its own source must not depend on one of them having told.
    """
    global _read
    _read = set()


def note(found: os.stat_result) -> None:
    """What a reader has opened. A terminal or a pipe is nothing that an output could destroy."""
    if _read is not None and stat.S_ISREG(found.st_mode):
        _read.add((found.st_dev, found.st_ino))


def was_read(path: str) -> bool:
    """Whether what the path leads to was read since watch(), under this name or another."""
    assert _read is not None, "watch() comes before what is read"
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return False
    return (found.st_dev, found.st_ino) in _read


def read_file(path: str, limit: int = LIMIT) -> bytes:
    """All bytes of a regular file of at most ``limit`` bytes.

    Raises UnreadableError with the reason for anything else: a folder, a FIFO or a device (opened without waiting,
    never read), a file that is missing, may not be read, or is longer.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as reason:
        raise UnreadableError(f"cannot read {_shown(path)}: {_why(reason)}") from None
    try:
        found = os.fstat(handle)
        note(found)
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableError(f"cannot read {_shown(path)}: it is {_kind(found.st_mode)}, not a file")
        if found.st_size > limit:
            raise UnreadableError(_too_large(path, limit))
        data = b""
        while piece := os.read(handle, limit + 1 - len(data)):
            data += piece
            if len(data) > limit:
                raise UnreadableError(_too_large(path, limit))
        return data
    except OSError as reason:
        raise UnreadableError(f"cannot read {_shown(path)}: {_why(reason)}") from None
    finally:
        os.close(handle)


def read_stdin(limit: int = LIMIT) -> bytes:
    """Standard input to its end; UnreadableError if it is longer than ``limit`` bytes or closed."""
    import sys

    try:
        data = sys.stdin.buffer.read(limit + 1)
        note_stdin()
    except (OSError, ValueError, AttributeError) as reason:
        raise UnreadableError(f"cannot read standard input: {reason}") from None
    if len(data) > limit:
        raise UnreadableError(_too_large("-", limit))
    return data


def note_stdin() -> None:
    """Standard input was read: perhaps it is a file."""
    import sys

    try:
        note(os.fstat(sys.stdin.fileno()))
    except (OSError, ValueError):
        return  # a test's, which is no file


def _too_large(path: str, limit: int) -> str:
    name = "standard input" if path == "-" else _shown(path)
    return f"cannot read {name}: it is larger than {limit >> 20} MiB"


def _shown(path: str) -> str:
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in path[:300]) or "''"


def _why(reason: OSError | ValueError) -> str:
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror[0].lower() + reason.strerror[1:]
    return str(reason)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a pipe (`-` reads standard input)"
    return "a device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "a socket"
