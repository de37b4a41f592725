"""How long ``policyc lsp`` takes from a keystroke to its diagnostics, over the pipes of a real server.

A digit is typed in the middle of a policy and deleted again, turn by turn; so is a word that makes the statement wrong,
and so is a whole rule. Wall-clock time from the last byte of the change to the last byte of what is published about it:
an editor's time for JSON is not in it. The median of all turns is what is promised; the ratio is of the best to the best.
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
from typing import Any

from bench import policies
from bench.common.cost import clean, root
from bench.common.figures import Figure, Result

SUMMARY = "milliseconds from a keystroke to its diagnostics in `policyc lsp`"

PROMISED = {1_000: 30.0, 20_000: 150.0}
"""Milliseconds by lines of the policy."""
TURNS = 40


def lacking() -> str:
    return "" if find_spec("pygls") else "pygls (pip install 'policyc[lsp]')"


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
            lambda message: message.get("method") == "textDocument/publishDiagnostics"
            and message["params"]["version"] == self.version
        )

    def open(self) -> float:
        """Seconds until the first diagnostics."""
        self.version = 1
        start = time.perf_counter()
        item = {"uri": self.uri, "languageId": "policyc", "version": 1, "text": self.text}
        self.send("textDocument/didOpen", {"textDocument": item})
        return self.published() - start

    def type(self, line: int, start: int, end: int, text: str) -> float:
        """Seconds for one change in one line."""
        self.version += 1
        places = {"start": {"line": line, "character": start}, "end": {"line": line, "character": end}}
        which = {"uri": self.uri, "version": self.version}
        change = {"textDocument": which, "contentChanges": [{"range": places, "text": text}]}
        start_time = time.perf_counter()
        self.send("textDocument/didChange", change)
        return self.published() - start_time

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


def typed(text: str, turns: int) -> tuple[float, dict[str, list[float]]]:
    """Seconds until a text is first told about, and of each keystroke by its kind."""
    lines = text.split("\n")
    row = next(at for at in range(len(lines) // 2, len(lines)) if lines[at].startswith("intercept io 0x"))
    place = len("intercept io 0x")
    new = f"intercept io {lines[row].split()[2]} in -> drop\n"
    kinds = {
        "a digit": ((row, place, place, "0"), (row, place, place + 1, "")),
        "a mistake": ((row, place, place, "g"), (row, place, place + 1, "")),
        "a rule": ((row, 0, 0, new), (row, 0, 0, "")),
    }
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    with served(text) as server:
        first = server.open()
        for _ in range(turns):
            for kind, changes in kinds.items():
                for change in changes:
                    if kind == "a rule" and not change[3]:
                        took[kind].append(_remove_line(server, row))
                    else:
                        took[kind].append(server.type(*change))
    return first, took


def _remove_line(server: Server, row: int) -> float:
    server.version += 1
    places = {"start": {"line": row, "character": 0}, "end": {"line": row + 1, "character": 0}}
    which = {"uri": server.uri, "version": server.version}
    start = time.perf_counter()
    change = {"textDocument": which, "contentChanges": [{"range": places, "text": ""}]}
    server.send("textDocument/didChange", change)
    return server.published() - start


def bare(turns: int) -> float:
    """Seconds that ``python -c pass`` takes, the best of several turns."""
    best = 1e9
    for _ in range(turns):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True, env=clean())
        best = min(best, time.perf_counter() - start)
    return best


def result(quick: bool) -> Result:
    turns = 10 if quick else TURNS
    start = bare(5)
    found: list[Figure] = []
    for lines, most in PROMISED.items():
        for name, text in (("plain", policies.plain(lines)), ("mixed", policies.mixed(lines))):
            first, took = typed(text, turns)
            where = f"{lines:,} {name} lines"
            found.append(Figure(f"open, {where}", 1e3 * first, "ms"))
            for kind, each in took.items():
                found.append(Figure(f"{kind}, {where}", 1e3 * statistics.median(each), "ms", most))
                found.append(Figure(f"{kind}, {where}, best", min(each) / start, "x bare"))
    return Result(tuple(found))
