"""Messages that no editor should send: the server lives on, and shows nobody a trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lsp.editor import ROOT

URI = "file:///nowhere/vm.pol"


def message(body: Any) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(data), data)


def request(number: int, method: str, params: Any) -> bytes:
    return message({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def notify(method: str, params: Any) -> bytes:
    return message({"jsonrpc": "2.0", "method": method, "params": params})


def opened(text: str, uri: str = URI) -> bytes:
    item = {"uri": uri, "languageId": "policyc", "version": 1, "text": text}
    return notify("textDocument/didOpen", {"textDocument": item})


def changed(*changes: dict[str, Any], uri: str = URI) -> bytes:
    which = {"uri": uri, "version": 2}
    return notify("textDocument/didChange", {"textDocument": which, "contentChanges": list(changes)})


def place(line: int, column: int) -> dict[str, int]:
    return {"line": line, "character": column}


def edit(start: tuple[int, int], end: tuple[int, int], text: str) -> dict[str, Any]:
    return {"range": {"start": place(*start), "end": place(*end)}, "text": text}


HELLO = request(0, "initialize", {"processId": None, "rootUri": None, "capabilities": {}}) + notify("initialized", {})
BYE = request(999, "shutdown", None) + notify("exit", None)


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def serve(said: bytes, cwd: Path = ROOT) -> tuple[list[dict[str, Any]], str]:
    """The server's messages, and what it wrote to standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "policyc", "lsp"], input=said, capture_output=True, check=False, cwd=cwd,
        env=ENVIRONMENT, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    assert b"Traceback" not in done.stdout
    found, left = [], done.stdout
    while left:
        head, _, rest = left.partition(b"\r\n\r\n")
        size = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        found.append(json.loads(rest[:size]))
        left = rest[size:]
    return found, done.stderr.decode()


def answers(found: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {each["id"]: each for each in found if "id" in each and "method" not in each}


def published(found: list[dict[str, Any]], uri: str = URI) -> list[Any]:
    mine = [each["params"] for each in found if each.get("method") == "textDocument/publishDiagnostics"]
    return [each["diagnostics"] for each in mine if each["uri"] == uri]


def test_nonsense_is_answered_and_survived() -> None:
    at = {"textDocument": {"uri": URI}, "position": place(0, 0)}
    said = [
        HELLO,
        message(b"{"),
        message(b"\xff\xfe"),
        message(b"[" * 100_000),
        message(b"null"),
        request(1, "no/such", {}),
        request(2, "textDocument/hover", {"textDocument": 5}),
        request(3, "textDocument/hover", {"textDocument": {"uri": URI}, "position": place(-1, 2**70)}),
        request(4, "textDocument/hover", at),
        request(5, "textDocument/rename", {**at, "newName": "x"}),
        request(6, "workspace/executeCommand", {"command": "rm"}),
        changed(edit((0, 0), (0, 0), "x")),
        notify("textDocument/didClose", {"textDocument": {"uri": URI}}),
        notify("textDocument/didOpen", {}),
        opened("language 1\ndefault exit\nintercept msr 0x1g\n"),
        request(7, "textDocument/hover", {"textDocument": {"uri": URI}, "position": place(2, 1)}),
        BYE,
    ]
    found, errors = serve(b"".join(said))
    assert "Traceback" not in errors
    got = answers(found)
    assert {number for number, each in got.items() if "error" in each} == {1, 6}
    assert {2, 3}.isdisjoint(got)  # Not even a request: a line in the log.
    logged = [each["params"]["message"] for each in found if each.get("method") == "window/logMessage"]
    assert sum("cannot be understood" in each for each in logged) >= 6
    assert {got[number]["result"] for number in (4, 5, 7, 999)} == {None}
    assert [[each["code"] for each in one] for one in published(found)] == [["E011"]]


def test_positions_beyond_the_text_mean_its_ends() -> None:
    said = [
        HELLO,
        opened("default exit"),
        changed(edit((0, 99), (7, 3), "\nintercept msr 0x1g"), edit((0, 0), (0, 0), "language 1\n")),
        changed(edit((2, 16), (1, 0), "")),
        BYE,
    ]
    found, errors = serve(b"".join(said))
    assert errors == ""
    last = published(found)[-1]
    assert [(each["code"], each["range"]["start"]["line"]) for each in last] == [("E011", 2)]


def test_texts_that_are_none() -> None:
    texts = {
        "nul": "a\0b", "lone": "# \ud800 \udc00\nlanguage 1\n", "turned": "# \u202e\n", "huge": " " * (17 << 20),
        "wide": "x" * (2 << 20), "deep": "let io A = " + "{" * 5000, "odd": "\r\r\n\n\x0b\x0c\x85\u2028",
        "many": "x\n" * 5000,
    }  # fmt: skip
    said = b"".join(opened(text, f"file:///nowhere/{name}.pol") for name, text in texts.items())
    found, errors = serve(HELLO + said + BYE)
    assert errors == ""
    codes = {name: [each["code"] for each in published(found, f"file:///nowhere/{name}.pol")[0]][:1] for name in texts}
    assert codes == {
        "nul": ["E002"], "lone": [], "turned": ["E006"], "huge": ["E004"], "wide": ["E004"], "deep": ["E004"],
        "odd": ["E006"], "many": ["E001"],
    }  # fmt: skip


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "loop.pol").symlink_to("loop.pol")
    names = [
        "file:///etc/passwd",
        "untitled:one",
        "file://host/share/x.pol",
        "",
        "file:///a%00b",
        "http://[",
        "x" * 5000,
    ]
    names.append((tmp_path / "loop.pol").as_uri())
    text = 'language 1\ndefault exit\nimport "/etc/passwd"\nimport "../../etc/passwd" as b\n'
    found, errors = serve(HELLO + b"".join(opened(text, each) for each in names) + BYE, tmp_path)
    assert errors == ""
    for each in names:
        assert [one["code"] for one in published(found, each)[0]] == ["E073", "E073"]


def test_a_header_that_promises_too_much_ends_the_session() -> None:
    found, errors = serve(HELLO + b"Content-Length: 99999999999999\r\n\r\n{}")
    assert errors == ""
    assert list(answers(found)) == [0]


def test_the_folder_of_the_editor_lends_no_modules(tmp_path: Path) -> None:
    """A workspace is somebody else's: what lies in it is read, never run."""
    (tmp_path / "json.py").write_text("open('ran', 'w')")
    (tmp_path / "policyc").mkdir()
    (tmp_path / "policyc" / "__init__.py").write_text("open('ran', 'w')")
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from policyc.__main__ import main; sys.exit(main())"
    session = subprocess.Popen(
        [sys.executable, "-P", "-c", code, "lsp"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path,
    )  # fmt: skip
    assert session.stdin is not None
    assert session.stdout is not None
    uri = (tmp_path / "vm.pol").as_uri()
    session.stdin.write(HELLO + opened("default exit\n", uri))
    session.stdin.flush()
    seen = b""
    while b"Y701" not in seen:  # Lint has answered, from its process.
        seen += session.stdout.read1(65536)
    session.communicate(BYE, timeout=30)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("said", [opened("default exit\n"), BYE], ids=["findings", "an answer"])
def test_an_editor_that_reads_no_more_ends_the_server_quietly(said: bytes) -> None:
    """Its writing end is still open: the server's thread that waits for the next message would wait for ever."""
    with subprocess.Popen(
        [sys.executable, "-m", "policyc", "lsp"], cwd=ROOT, env=ENVIRONMENT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as session:  # fmt: skip
        assert session.stdin is not None
        assert session.stdout is not None
        assert session.stderr is not None
        session.stdin.write(HELLO)
        session.stdin.flush()
        assert session.stdout.read1()
        session.stdout.close()
        session.stdin.write(said)
        session.stdin.flush()
        assert (session.wait(timeout=60), session.stderr.read()) == (141, b"")
