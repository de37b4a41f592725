"""Lint in a process of its own, so that an editor need not wait for it and can change its mind.

``python -m policyc.lsp.reviewer`` answers requests, one JSON value a line: ``path`` of a policy, ``texts`` of open
files by path, ``database`` files. The answer has ``found`` (as policyc.reports.jsonform writes findings) and
``complaint``, empty unless a file of settings cannot be used.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import policyc

PATIENCE = 120.0
"""Seconds after which a review is given up."""
LARGEST_ANSWER = 64 << 20


class Reviewer:
    """The child process, from the server's side. One review at a time; a new one ends the one under way."""

    def __init__(self) -> None:
        self._child: asyncio.subprocess.Process | None = None
        self._busy = False

    async def review(self, path: str, texts: Mapping[str, str], database: Sequence[str]) -> dict[str, Any] | None:
        """The answer to one request; None if it was given up."""
        self.give_up()
        child = self._child or await self._start()
        self._child, self._busy = child, True
        request = json.dumps({"path": path, "texts": dict(texts), "database": list(database)}) + "\n"
        assert child.stdin is not None and child.stdout is not None
        try:
            child.stdin.write(request.encode())
            await child.stdin.drain()
            line = await asyncio.wait_for(child.stdout.readline(), PATIENCE)
            answer = json.loads(line) if line else None
        except (TimeoutError, OSError, ValueError):
            answer = None
        if child is not self._child:
            return None
        self._busy = False
        if answer is None:
            self.end()
        return answer

    def give_up(self) -> None:
        """End the review under way, if there is one."""
        if self._busy:
            self.end()

    def end(self) -> None:
        """End the process."""
        child, self._child, self._busy = self._child, None, False
        if child is not None:
            with suppress(ProcessLookupError):
                child.kill()

    async def _start(self) -> asyncio.subprocess.Process:
        # -P: the folder that the editor was started in must not be able to put its own modules before ours.
        root = os.path.dirname(os.path.dirname(os.path.abspath(policyc.__file__)))
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        return await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "policyc.lsp.reviewer",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path}, limit=LARGEST_ANSWER,
        )  # fmt: skip


# in the child


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """What lint says of one policy under the settings of the nearest policyc.toml."""
    from policyc.cli.lint import today, without_known
    from policyc.cli.lintconfig import Configs
    from policyc.lsp.project import database_of
    from policyc.reports import jsonform
    from policyc.review import review, verdict
    from policyc.vocabulary.diagnostic import PolicyError, UnreadableError

    path = request["path"]
    try:
        config = Configs(None, False).above(path)
        database = database_of((*request["database"], *config.database))
        texts = {name: text.encode() for name, text in request["texts"].items()}
        reviewed = review(path, config.of(path), database=database, buffers=texts)
        result = verdict([reviewed], today())
        if config.baseline is not None and reviewed.compiles:
            result = without_known(config.baseline, result)
    except UnreadableError as reason:
        return {"found": [], "complaint": str(reason)}
    except PolicyError as reason:
        return {"found": [], "complaint": reason.diagnostics[0].message}
    return {"found": [jsonform.diagnostic(each) for each in result.left], "complaint": ""}


def main() -> None:
    """Answer until standard input ends."""
    import gc

    gc.disable()
    for line in sys.stdin.buffer:
        try:
            given = answer(json.loads(line))
        except Exception as reason:
            given = {"found": [], "complaint": f"this is a bug in policyc: {type(reason).__name__}: {reason}"}
        sys.stdout.write(json.dumps(given) + "\n")
        sys.stdout.flush()
        gc.collect()


if __name__ == "__main__":
    main()
