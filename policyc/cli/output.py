"""Where a command is asked to write: never in the place of what it read, nor among the files of a bundle that it read.

A command with such an option calls ``policyc.syntax.files.watch`` before it reads anything, and ``write`` or ``spare``
when it has read everything.
"""

from __future__ import annotations

import os
import sys

from policyc.cli.parser import UsageError
from policyc.syntax.files import was_read

_HELP = "write it elsewhere"


def write(place: str, text: str) -> None:
    """Write a file, whole or not at all; ``-`` is standard output, and what is no regular file, such as a pipe, is
    written to. Raises what spare raises."""
    if place == "-":
        sys.stdout.write(text)
        return
    if not place:
        raise UsageError("the output names no file", "`-` prints it")
    spare(place)
    if os.path.exists(place) and not os.path.isfile(place):
        with open(place, "w", encoding="utf-8") as stream:
            stream.write(text)
    else:
        from policyc.cli.rewriting import replace

        replace(place, text.encode("utf-8"))


def spare(place: str) -> None:
    """Raise UsageError where a file, or a bundle's folder, would take the place of something that this command read."""
    from policyc.bundle.read import MANIFEST

    folder = os.path.dirname(os.path.realpath(place))
    while folder != os.path.dirname(folder):
        if was_read(os.path.join(folder, MANIFEST)):
            raise UsageError(f"{place} would lie in the bundle {os.path.relpath(folder)}", _HELP)
        folder = os.path.dirname(folder)
    bundle = os.path.exists(os.path.join(place, MANIFEST))
    inside = (os.path.join(folder, each) for folder, _, files in os.walk(place) for each in files)
    for each in inside if bundle else (place,):
        if was_read(each):
            raise UsageError(f"{each} is read for it, and would be overwritten", _HELP)
