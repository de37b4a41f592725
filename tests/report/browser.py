"""A real browser for tests: Chromium without a window, driven over a pipe by the DevTools protocol.

No package is needed beside Chromium itself: the protocol is JSON texts, each ended by a zero byte, on file descriptors
3 (commands) and 4 (answers and events).
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from time import monotonic
from typing import Any

from tests.demand import need

PATIENCE = 60.0
"""Seconds that one answer may take; a machine under load starts Chromium in ten."""
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

_KEYS = {
    "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "PageUp": 33, "PageDown": 34, "End": 35,
    "Home": 36, "Enter": 13, "Tab": 9,
}  # fmt: skip
_CONTROL = 2


def find() -> str:
    """The path of Chromium; the test is skipped, or fails where it is demanded, without one."""
    found = next(filter(None, map(which, _NAMES)), None)
    need("chromium", found is not None, "apt-get install chromium")
    assert found is not None
    return found


_PLACE_PIPES = """\
import fcntl, os, sys
ends = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 10) for word in sys.argv[1:3]]
for place, end in enumerate(ends, 3):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""What becomes Chromium: it puts the pipes on the file descriptors that Chromium expects them on."""


class Failed(Exception):
    """The browser refused a command, or its page's script threw."""


class Page:
    """One tab. errors: what its console said and its scripts threw. requests: addresses that it asked for."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser = browser
        self.session = session
        self.errors: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        return self.browser.call(method, self.session, **parameters)

    def open(self, path: Path, width: int = 1280, height: int = 1000, dark: bool = False) -> None:
        """Load a file, and wait until its script has run."""
        self.errors.clear()
        self.requests.clear()
        self.size(width, height)
        self.scheme("dark" if dark else "light")
        self.call("Page.navigate", url=path.as_uri())
        deadline = monotonic() + PATIENCE
        while self.run("document.readyState + location.href") != f"complete{path.as_uri()}":
            assert monotonic() < deadline, "the page does not load"

    def size(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, name: str) -> None:
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])
        self.drawn()

    def drawn(self) -> None:
        """Wait until two more frames are on the screen, and with them whatever follows a change of the window."""
        script = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
        self.call("Runtime.evaluate", expression=script, awaitPromise=True)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, as JSON."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise Failed(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def press(self, key: str, times: int = 1, control: bool = False) -> None:
        """A key, or one character."""
        code = _KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
        said = {"key": key, "windowsVirtualKeyCode": code, "modifiers": _CONTROL if control else 0}
        text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        for _ in range(times):
            self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **said, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", **said)

    def point(self, x: float, y: float) -> None:
        """The mouse to a place of the window."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def picture(self, place: Path, whole: bool = False) -> None:
        """A screenshot. whole: of all the page, not only of the window."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        place.write_bytes(base64.b64decode(shot["data"]))

    def heard(self, event: dict[str, Any]) -> None:
        method, said = event["method"], event["params"]
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(said["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(said["args"]))
        elif method == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.errors.append(said["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])


class Browser:
    def __init__(self, process: subprocess.Popen[bytes], commands: int, answers: int) -> None:
        self.process = process
        self.commands = commands
        self.answers = os.fdopen(answers, "rb", buffering=0)
        self.number = 0
        self.rest = b""
        self.pages: dict[str, Page] = {}

    def page(self) -> Page:
        made = self.call("Target.createTarget", None, url="about:blank")
        session = self.call("Target.attachToTarget", None, targetId=made["targetId"], flatten=True)["sessionId"]
        page = Page(self, session)
        self.pages[session] = page
        return page

    def call(self, method: str, session: str | None, **parameters: Any) -> Any:
        """Send a command and read on until its answer comes."""
        self.number += 1
        command = {"id": self.number, "method": method, "params": parameters}
        if session is not None:
            command["sessionId"] = session
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise Failed(f"{method}: {answer['error']}")
                return answer["result"]
            page = self.pages.get(answer.get("sessionId", ""))
            if page is not None and "method" in answer:
                page.heard(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            from select import select

            ready, _, _ = select([self.answers], [], [], PATIENCE)
            more = self.answers.read(1 << 16) if ready else b""
            if not more:
                raise Failed("Chromium does not answer")
            self.rest += more
        text, _, self.rest = self.rest.partition(b"\0")
        found: dict[str, Any] = json.loads(text)
        return found


@contextmanager
def started(folder: Path) -> Iterator[Browser]:
    """Chromium, with its profile in a folder of the test's, ended when the block ends."""
    path = find()
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()
    options = [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
        "--force-color-profile=srgb", f"--user-data-dir={folder}", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", _PLACE_PIPES, str(command_read), str(answer_write), path, *options],
        pass_fds=(command_read, answer_write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(command_read)
    os.close(answer_write)
    browser = Browser(process, command_write, answer_read)
    try:
        yield browser
    finally:
        try:
            browser.call("Browser.close", None)
            process.wait(20)
        except (Failed, OSError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()
        os.close(command_write)
        browser.answers.close()
