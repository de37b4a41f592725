"""When to colour a stream, and how."""

from __future__ import annotations

from collections.abc import Mapping

from policyc.vocabulary.typed import TextIO

CHOICES = ("auto", "always", "never")

_SGR = {"error": "1;31", "warning": "1;33", "info": "1;36", "strong": "1", "frame": "34", "faint": "2", "good": "32"}
"""Style -> parameters of the Select Graphic Rendition sequence (ECMA-48, 8.3.117)."""


def wanted(stream: TextIO, choice: str, environment: Mapping[str, str]) -> bool:
    """Whether to colour what goes to stream. choice: a member of CHOICES, from ``--color``; it wins.

    Else NO_COLOR (no-color.org) and FORCE_COLOR count where they are not empty, and then whether a terminal reads it.
    """
    if choice != "auto":
        return choice == "always"
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR", "") not in ("", "0"):
        return True
    return stream.isatty() and environment.get("TERM") != "dumb"


class Paint:
    """Colours text, or leaves it alone. Styles: error, warning, info, strong, frame, faint, good."""

    __slots__ = ("on",)

    def __init__(self, on: bool = False) -> None:
        self.on = on

    def __call__(self, style: str, text: str) -> str:
        return f"\x1b[{_SGR[style]}m{text}\x1b[0m" if self.on and text else text


PLAIN = Paint()
