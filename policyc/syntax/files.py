"""Reading files that nobody vouches for: regular ones only, up to a limit, never waiting."""

from __future__ import annotations

import os
import stat

from policyc.vocabulary.diagnostic import UnreadableError

LIMIT = 16 << 20
"""Bytes of one policy file. 100,000 rules of 60 characters are 6 MB."""


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
    except (OSError, ValueError, AttributeError) as reason:
        raise UnreadableError(f"cannot read standard input: {reason}") from None
    if len(data) > limit:
        raise UnreadableError(_too_large("-", limit))
    return data


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
