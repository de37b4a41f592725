"""How long ``policyc lsp`` takes from a keystroke to its diagnostics, over the pipes of a real server.

A digit is typed in the middle of a policy and deleted again, turn by turn; so is a word that makes the statement wrong,
and so is a whole rule. Measured are the server's processor time, all threads, from the change to what is published about it,
which another load leaves nearly alone and on which the promise is; that time as a multiple of what a bare interpreter
takes; and the wall-clock time in between, for whoever has an idle machine. Medians of all turns.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from bench import policies
from bench.common.cost import clean, processes, root
from bench.common.figures import Figure, Result

SUMMARY = "processor time from a keystroke to its diagnostics in `policyc lsp`"

PROMISED = {1_000: 30.0, 20_000: 150.0}
"""Milliseconds by lines of the policy."""
TURNS = 40
BELOW = "a digit, with 500 findings shown,"
"""Each of them is told again at each keystroke."""


def lacking() -> str:
    return "" if find_spec("pygls") else "pygls (pip install 'policyc[lsp]')"


class Took(NamedTuple):
    """Seconds of processor and of wall-clock time."""

    processor: float
    wall: float


Place = tuple[int, int]
_PLACE = ("line", "character")


class Server:
    """A server, and one open text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.version = 0
        self.uri = "file:///nowhere/bench.pol"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "policyc", "lsp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=clean(PYTHONPATH=str(root())),
        )  # fmt: skip
        self.send("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, 1)
        self.until(lambda message: message.get("id") == 1)
        self.send("initialized", {})

    def send(self, method: str, params: Any, number: int | None = None) -> None:
        body = {"jsonrpc": "2.0", "method": method, "params": params} | ({} if number is None else {"id": number})
        data = json.dumps(body).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        self.process.stdin.flush()

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> float:
        """Read messages up to one; when its last byte was there."""
        stream = self.process.stdout
        assert stream is not None
        while True:
            size = 0
            while (line := stream.readline()) != b"\r\n":
                if line.startswith(b"Content-Length:"):
                    size = int(line[15:])
            data = stream.read(size)
            arrived = time.perf_counter()
            if wanted(json.loads(data)):
                return arrived

    def published(self) -> float:
        return self.until(
            lambda message: (
                message.get("method") == "textDocument/publishDiagnostics"
                and message["params"]["version"] == self.version
            )
        )

    def spent(self) -> float:
        """Processor seconds of all threads up to now."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(each.read_text().split()[0]) for each in threads) / 1e9

    def lint(self) -> None:
        """Wait for lint's findings, of which both kinds of policies have more than are shown."""
        self.until(
            lambda message: (
                message.get("method") == "textDocument/publishDiagnostics"
                and len(message["params"]["diagnostics"]) > 100
            )
        )

    def open(self) -> float:
        """Seconds until the first diagnostics."""
        self.version = 1
        start = time.perf_counter()
        item = {"uri": self.uri, "languageId": "policyc", "version": 1, "text": self.text}
        self.send("textDocument/didOpen", {"textDocument": item})
        return self.published() - start

    def type(self, start: Place, end: Place, text: str) -> Took:
        """One change: from line and column to line and column."""
        self.version += 1
        places = {"start": dict(zip(_PLACE, start, strict=True)), "end": dict(zip(_PLACE, end, strict=True))}
        which = {"uri": self.uri, "version": self.version}
        change = {"textDocument": which, "contentChanges": [{"range": places, "text": text}]}
        before, begun = self.spent(), time.perf_counter()
        self.send("textDocument/didChange", change)
        arrived = self.published()
        return Took(self.spent() - before, arrived - begun)

    def close(self) -> None:
        self.send("shutdown", None, 2)
        self.until(lambda message: message.get("id") == 2)
        self.send("exit", None)
        self.process.wait(30)


@contextmanager
def served(text: str) -> Iterator[Server]:
    server = Server(text)
    try:
        yield server
    finally:
        server.close()


def typed(text: str, turns: int) -> tuple[float, dict[str, list[Took]]]:
    """Seconds until a text is first told about, and of each keystroke by its kind."""
    lines = text.split("\n")
    row = next(at for at in range(len(lines) // 2, len(lines)) if lines[at].startswith("intercept io 0x"))
    place = len("intercept io 0x")
    new = f"intercept io {lines[row].split()[2]} in -> drop\n"
    kinds: dict[str, tuple[tuple[Place, Place, str], ...]] = {
        "a digit": (((row, place), (row, place), "0"), ((row, place), (row, place + 1), "")),
        "a mistake": (((row, place), (row, place), "g"), ((row, place), (row, place + 1), "")),
        "a rule": (((row, 0), (row, 0), new), ((row, 0), (row + 1, 0), "")),
    }
    took: dict[str, list[Took]] = {kind: [] for kind in kinds}
    with served(text) as server:
        first = server.open()
        for _ in range(turns):
            for kind, changes in kinds.items():
                took[kind] += [server.type(*change) for change in changes]
        server.lint()
        took[BELOW] = [server.type(*change) for _ in range(turns) for change in kinds["a digit"]]
    return first, took


def result(quick: bool) -> Result:
    turns = 10 if quick else TURNS
    start = processes({"bare": [sys.executable, "-c", "pass"]}, 10)["bare"]
    found: list[Figure] = []
    for lines, most in PROMISED.items():
        for name, text in (("plain", policies.plain(lines)), ("mixed", policies.mixed(lines))):
            first, took = typed(text, turns)
            where = f"{lines:,} {name} lines"
            found.append(Figure(f"open {where}", 1e3 * first, "ms of wall clock"))
            for kind, each in took.items():
                seconds = statistics.median(one.processor for one in each)
                found.append(Figure(f"{kind} in {where}", 1e3 * seconds, "ms", most))
                found.append(Figure(f"{kind} in {where}, ratio", seconds / start, "x bare"))
                wall = statistics.median(one.wall for one in each)
                found.append(Figure(f"{kind} in {where}, wall clock", 1e3 * wall, "ms of wall clock"))
    return Result(tuple(found))
