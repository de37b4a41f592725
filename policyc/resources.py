"""Where the files that are not Python live: in a checkout at the top level, in a wheel inside the package."""

from __future__ import annotations

import os

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def folder(name: str) -> str:
    """Absolute path of ``grammars``, ``templates`` or ``std``; FileNotFoundError if the installation lacks it."""
    for base in (_PACKAGE, os.path.dirname(_PACKAGE)):
        path = os.path.join(base, name)
        if os.path.isdir(path):
            return path
    raise FileNotFoundError(f"this installation of policyc has no {name}/ folder")


def read(folder_name: str, file: str) -> str:
    """The UTF-8 text of one such file."""
    with open(os.path.join(folder(folder_name), file), encoding="utf-8", newline="\n") as stream:
        return stream.read()
