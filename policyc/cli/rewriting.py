"""New texts for files of the user: shown as a diff, or written whole in place of the old ones."""

from __future__ import annotations

import os

from policyc.syntax.files import read_file
from policyc.vocabulary.diagnostic import UnreadableError
from policyc.vocabulary.digest import sha256
from policyc.vocabulary.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def show(texts: Mapping[str, str], before: Mapping[str, str]) -> None:
    """What would change, as a unified diff."""
    from difflib import unified_diff

    for name in sorted(texts):
        old, new = before[name].splitlines(keepends=True), texts[name].splitlines(keepends=True)
        for line in unified_diff(old, new, name, name):
            print(line.rstrip("\r\n"))


def write(texts: Mapping[str, str], read: Mapping[str, str]) -> None:
    """Write the new texts. read: the digest of each file as it was looked at; one that changed since is left alone."""
    for name in sorted(texts):
        before = read_file(name)
        if sha256(before).hexdigest() != read[name]:
            raise UnreadableError(f"cannot mend {name}: it changed meanwhile; run policyc again")
        mark = b"\xef\xbb\xbf" if before.startswith(b"\xef\xbb\xbf") else b""
        replace(name, mark + texts[name].encode("utf-8"))


def replace(path: str, data: bytes) -> None:
    """Write a file whole: beside it, then in its place, with its mode; what a link leads to, not the link."""
    from tempfile import mkstemp

    real = os.path.realpath(path)
    try:
        mode = os.stat(real).st_mode & 0o777 if os.path.exists(real) else 0o666 & ~_umask()
        handle, beside = mkstemp(prefix=".policyc-", dir=os.path.dirname(real) or ".")
    except OSError as reason:
        raise UnreadableError(f"cannot write {path}: {reason.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(beside, mode)
        os.replace(beside, real)
    except BaseException:
        os.unlink(beside)
        raise


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
