"""Where words go: results to standard output, diagnostics and progress to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from policyc.cli.parser import Arguments
from policyc.reports.colour import Paint, wanted
from policyc.vocabulary.diagnostic import Diagnostic, PolicyError
from policyc.vocabulary.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from threading import Timer

PATIENCE = 1.0
"""Seconds that a command may be silent on a terminal."""


def output_paint(args: Arguments | None) -> Paint:
    """Colours for standard output."""
    return Paint(wanted(sys.stdout, "auto" if args is None else args.color, os.environ))


def error_paint(args: Arguments | None) -> Paint:
    """Colours for standard error."""
    return Paint(wanted(sys.stderr, "auto" if args is None else args.color, os.environ))


def tell(diagnostics: Sequence[Diagnostic], args: Arguments | None, outcome: str = "") -> None:
    """The diagnostics as text on standard error, and one line that counts them and says what came of it."""
    if not diagnostics:
        return
    from policyc.reports.text import report, summary

    paint = error_paint(args)
    sys.stderr.write(report(diagnostics, paint))
    sys.stderr.write(paint("strong", summary(diagnostics, outcome)) + "\n")


def refuse(reason: PolicyError, args: Arguments | None, outcome: str = "") -> None:
    """A policy that does not compile: as JSON on standard output where that was asked for, else as text."""
    if args is not None and getattr(args, "format", "text") == "json":
        from policyc.reports.jsonform import diagnostics, document

        sys.stdout.write(document({"diagnostics": diagnostics(reason.diagnostics)}))
        return
    tell(reason.diagnostics, args, outcome)


class Progress:
    """While its block runs for more than a second, a line on standard error says so; silent without a terminal."""

    def __init__(self, words: str) -> None:
        self._task = self._words = words
        self._timer: Timer | None = None
        self._shown = False

    def step(self, what: str, done: int, total: int) -> None:
        """What is being done now, after done of total steps; on the line as soon as there is one."""
        self._words = f"{self._task}: {what} ({done + 1} of {total})"
        if self._shown:
            self._show()

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from threading import Timer

            self._timer = Timer(PATIENCE, self._show)
            self._timer.daemon = True
            self._timer.start()
        return self

    def _show(self) -> None:
        from policyc.reports.cells import safe

        self._shown = True
        sys.stderr.write(f"\r\x1b[K{safe(self._words)} ...")
        sys.stderr.flush()

    def __exit__(self, *reason: object) -> None:
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer.join()
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
