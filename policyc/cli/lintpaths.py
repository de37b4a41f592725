"""Which policies a command line means: files as given, the ``*.pol`` files below folders, ``-``."""

from __future__ import annotations

import os

from policyc.vocabulary.diagnostic import UnreadableError
from policyc.vocabulary.typed import NamedTuple

MOST = 20_000
"""Policies of one run."""


class Found(NamedTuple):
    """paths: in the order of the command line, each once. walked: those that were found below a folder."""

    paths: tuple[str, ...]
    walked: frozenset[str]


def find(words: list[str]) -> Found:
    """Raises UnreadableError for a folder without policies, and for more than MOST of them."""
    paths: dict[str, bool] = {}
    for word in words:
        if word == "-" or not os.path.isdir(word):
            paths[word] = False
            continue
        below = _below(word)
        if not below:
            raise UnreadableError(f"there is no policy (*.pol) below {word}")
        for each in below:
            paths.setdefault(each, True)
        if len(paths) > MOST:
            raise UnreadableError(f"there are more than {MOST:,} policies below {word}")
    return Found(tuple(paths), frozenset(path for path, walked in paths.items() if walked))


def _below(folder: str) -> list[str]:
    """Policies below a folder, sorted; hidden folders and links to folders are not followed."""
    out = []
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for each in sorted(files):
            if each.endswith(".pol") and not each.startswith("."):
                path = os.path.join(where, each)
                out.append(os.path.relpath(path) if folder == "." else path)
        if len(out) > MOST:
            break
    return out
