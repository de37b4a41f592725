"""Folders held open: listing, reading and removing below a handle, without ever following a symbolic link."""

from __future__ import annotations

import errno
import os
import stat

from policyc.syntax.files import note

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

MAX_ENTRIES = 100_000
MAX_DEPTH = 8
"""Files and folders of one bundle, and how deep they nest. policyc itself writes four deep: profiles/A/vcpus/B/file."""


class OddFolder(Exception):
    """The folder is not one that policyc writes. The message says what is odd, as in ``a is a symbolic link``."""


def listing(handle: int) -> dict[str, os.stat_result]:
    """All regular files below an open folder: path from it -> what it is. Raises OddFolder for anything else there."""
    found: dict[str, os.stat_result] = {}
    _list(handle, "", found, 0)
    return found


def _list(handle: int, prefix: str, found: dict[str, os.stat_result], depth: int) -> None:
    names = sorted(os.listdir(handle))
    if prefix and not names:
        raise OddFolder(f"{prefix[:-1]} is an empty folder")
    for name in names:
        path = prefix + name
        state = os.stat(name, dir_fd=handle, follow_symlinks=False)
        if stat.S_ISDIR(state.st_mode):
            if depth == MAX_DEPTH:
                raise OddFolder(f"folders nest over {MAX_DEPTH} deep")
            below = os.open(name, OPEN_FOLDER, dir_fd=handle)
            try:
                _list(below, f"{path}/", found, depth + 1)
            finally:
                os.close(below)
        elif stat.S_ISREG(state.st_mode):
            found[path] = state
        else:
            what = "a symbolic link" if stat.S_ISLNK(state.st_mode) else "not a regular file"
            raise OddFolder(f"{path} is {what}")
        if len(found) > MAX_ENTRIES:
            raise OddFolder(f"it holds over {MAX_ENTRIES:,} files")


def read_below(handle: int, path: str, limit: int) -> bytes:
    """All bytes of a regular file below an open folder; links are not followed at any step.

    path: words parted by ``/``, none of them empty, ``.`` or ``..``. Raises OSError, or OddFolder for no regular file
    or one of more than ``limit`` bytes.
    """
    *folders, name = path.split("/")
    opened: list[int] = []
    try:
        at = handle
        for each in folders:
            at = os.open(each, OPEN_FOLDER, dir_fd=at)
            opened.append(at)
        file = os.open(name, _OPEN_FILE, dir_fd=at)
        opened.append(file)
        state = os.fstat(file)
        note(state)
        if not stat.S_ISREG(state.st_mode):
            raise OddFolder(f"{path} is not a regular file")
        if state.st_size > limit:
            raise OddFolder(f"{path} is larger than {limit:,} bytes")
        data = bytearray()
        while piece := os.read(file, limit + 1 - len(data)):
            data += piece
        if len(data) > limit:
            raise OddFolder(f"{path} is larger than {limit:,} bytes")
        return bytes(data)
    finally:
        for each_handle in reversed(opened):
            os.close(each_handle)


def remove_below(handle: int, name: str) -> None:
    """Delete a file, or a folder and all below it, in an open folder. Raises OSError at the first thing that resists."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=handle)
        return
    below = os.open(name, OPEN_FOLDER, dir_fd=handle)
    try:
        for each in os.listdir(below):
            remove_below(below, each)
    finally:
        os.close(below)
    os.rmdir(name, dir_fd=handle)


def shown(path: str) -> str:
    """A path as a message shows it: on one line, of bounded length."""
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in path[:300]) or "''"


def why(reason: Exception) -> str:
    """An error of the operating system in a message's words."""
    if isinstance(reason, OSError) and reason.errno == errno.EXDEV:
        return "the old bundle cannot be moved (it lies in another layer of the file system); delete it first"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror[0].lower() + reason.strerror[1:]
    return str(reason)
