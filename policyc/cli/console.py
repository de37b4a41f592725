"""Where words go: results to standard output, diagnostics and progress to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from policyc.cli.parser import Arguments
from policyc.reports.colour import Paint, wanted
from policyc.vocabulary.diagnostic import Diagnostic, PolicyError


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
    """One line on standard error for what takes longer than a second; silent where no terminal reads it."""

    def __init__(self) -> None:
        from time import monotonic

        self._clock = monotonic
        self._start = monotonic()
        self._shown = False
        self._on = sys.stderr.isatty()

    def __call__(self, words: str) -> None:
        if self._on and self._clock() - self._start >= 1:
            sys.stderr.write(f"\r\x1b[K{words}")
            sys.stderr.flush()
            self._shown = True

    def done(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
