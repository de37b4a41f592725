"""Changing a run from outside: a Unix socket on which ``policyc profile`` asks for another profile or bundle.

One request a connection, one line of JSON each way, at most 64 KiB:

    {"format_version": 1, "command": "switch", "bundle": "/abs/vm.bundle", "profile": "run"}
    {"format_version": 1, "ok": true, "profile": "run", "verified_ms": 2.1, "switched_ms": 0.4, "exits": 1234}

``profile`` null is the base policy; without ``bundle`` the one that runs stays. The bundle is verified here, by the
process that uses it; one that fails changes nothing. The socket is for its owner alone (mode 0600).
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import time
from typing import Any, Protocol

from policyc.bundle.folder import shown, why
from policyc.bundle.read import Bundle, load
from policyc.runtime.force import Force
from policyc.runtime.session import Switch
from policyc.vocabulary.diagnostic import UnreadableError

FORMAT_VERSION = 1
MOST_BYTES = 1 << 16
PATIENCE = 5.0
"""Seconds that one connection may take to say what it wants."""
_POLL = 0.1


class Switchable(Protocol):
    """A run whose rules may change: a Session, or a VMM that is governed."""

    @property
    def force(self) -> Force: ...

    @property
    def exits(self) -> int: ...

    def switch(self, profile: str | None, *, bundle: Bundle | None = None, cause: str = "api") -> Switch: ...


class Server:
    """While its block lasts, a thread answers on the socket. Raises UnreadableError where it cannot be made."""

    def __init__(self, path: str, session: Switchable) -> None:
        self.path = path
        self.session = session
        self._over = threading.Event()

    def __enter__(self) -> Server:
        self._socket = _listen(self.path)
        self._identity = os.stat(self.path).st_ino
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()
        with contextlib.suppress(OSError):
            if os.stat(self.path).st_ino == self._identity:
                os.unlink(self.path)

    def _serve(self) -> None:
        self._socket.settimeout(_POLL)
        while not self._over.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            with connection, contextlib.suppress(OSError):
                connection.settimeout(PATIENCE)
                _send(connection, self._answer(connection))

    def _answer(self, connection: socket.socket) -> dict[str, Any]:
        try:
            return {"ok": True, **self._do(_receive(connection))}
        except (UnreadableError, ValueError) as reason:
            return {"ok": False, "error": str(reason)}

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("format_version") != FORMAT_VERSION or request.get("command") not in ("switch", "status"):
            raise ValueError("this policyc knows format version 1 and the commands switch and status")
        if request["command"] == "status":
            return self._status()
        path, profile = request.get("bundle"), request.get("profile")
        if not isinstance(path, str | None) or not isinstance(profile, str | None):
            raise ValueError("bundle and profile are strings")
        before = time.monotonic()
        bundle = None if path is None else load(path)
        verified = time.monotonic() - before
        switch = self.session.switch(profile, bundle=bundle, cause="control")
        return {
            "profile": profile,
            "verified_ms": round(1000 * verified, 3),
            "switched_ms": round(1000 * switch.latency, 3),
            "exits": switch.by_exit,
        }

    def _status(self) -> dict[str, Any]:
        force = self.session.force
        return {"bundle": force.bundle.path, "profile": force.profile, "exits": self.session.exits}


def _listen(path: str) -> socket.socket:
    """A socket at the path; one that a dead process left there is replaced, any other file is not.

    It is made under another name: who finds it at the path can connect at once.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    draft = f"{path}.{os.getpid()}"
    try:
        made.bind(draft)
        try:
            made.listen(4)
            if _left_over(path):
                os.unlink(path)
            os.link(draft, path)  # Unlike a rename it never replaces anything.
        finally:
            os.unlink(draft)
    except (OSError, ValueError) as reason:
        made.close()
        raise UnreadableError(f"cannot listen at {shown(path)}: {why(reason)}") from None
    finally:
        os.umask(before)
    return made


def _left_over(path: str) -> bool:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
    return False


def ask(path: str, request: dict[str, Any]) -> dict[str, Any]:
    """The answer of the run that listens at a path. Raises UnreadableError where nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.settimeout(10 * PATIENCE)
        try:
            made.connect(path)
            _send(made, request)
            return _receive(made)
        except ValueError as reason:
            raise UnreadableError(f"{shown(path)} is no run of policyc: {reason}") from None
        except OSError as reason:
            raise UnreadableError(f"no run listens at {shown(path)}: {why(reason)}") from None


def _send(connection: socket.socket, fields: dict[str, Any]) -> None:
    import json

    connection.sendall(json.dumps({"format_version": FORMAT_VERSION, **fields}).encode("ascii") + b"\n")


def _receive(connection: socket.socket) -> dict[str, Any]:
    """One line. Raises ValueError for one that is too long, cut off, late in all, or no JSON object."""
    import json

    data = b""
    until = time.monotonic() + PATIENCE * 10
    while not data.endswith(b"\n"):
        piece = connection.recv(4096)
        data += piece
        if not piece or len(data) > MOST_BYTES or time.monotonic() > until:
            raise ValueError("the line is too long, or has no end")
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ValueError("a line is one JSON object")
    return fields
