"""The live view: a few lines on a terminal that are drawn anew while the guest runs."""

from __future__ import annotations

import os
import threading
import time
from typing import TextIO

from policyc.reports.cells import safe
from policyc.runtime.lines import Lines, Running
from policyc.runtime.session import Report
from policyc.semantics.addresses import Names

EVERY = 0.25
"""Seconds between two drawings."""
_MOST_RULES = 8
_USUAL_COLUMNS = 80


class Live(Lines):
    """On a terminal: rate and busiest rules below, everything else told above. Exits get no lines."""

    def __init__(self, stream: TextIO, names: Names) -> None:
        super().__init__(stream, names, exits=False)
        self._drawn = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begun(self, session: Running) -> None:
        super().begun(session)
        self._thread = threading.Thread(target=self._draw_on, args=(session,), daemon=True)
        self._thread.start()

    def finished(self, report: Report) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._wipe()
        super().finished(report)

    def _draw_on(self, session: Running) -> None:
        exits, at = 0, time.monotonic()
        while not self._over.wait(EVERY):
            now, total = time.monotonic(), session.exits
            with self._lock:
                self._wipe()
                self._draw(session, total, (total - exits) / (now - at))
            exits, at = total, now

    def _draw(self, session: Running, total: int, rate: float) -> None:
        columns = self._columns()
        rules = sorted(session.busiest().items(), key=lambda each: -each[1])[:_MOST_RULES]
        profile = session.force.profile or "base policy"
        lines = [f"{total:,} exits, {rate:,.0f} a second, {profile}"]
        lines += [f"  {count:>12,}  {safe(title)}" for title, count in rules]
        for line in lines:
            self.stream.write(line[: columns - 1] + "\n")
        self.stream.flush()
        self._drawn = len(lines)

    def _columns(self) -> int:
        """Of the terminal; one that does not know its width is taken for the usual."""
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or _USUAL_COLUMNS
        except (OSError, ValueError):
            return _USUAL_COLUMNS

    def _wipe(self) -> None:
        """Back to where the drawing began, and all of it away."""
        if self._drawn:
            self.stream.write(f"\x1b[{self._drawn}A\x1b[J")
        self._drawn = 0

    def _say(self, line: str) -> None:
        with self._lock:
            self._wipe()
            self.stream.write(line + "\n")
