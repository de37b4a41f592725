"""The control socket, from the side of those who do not know its manners."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from contextlib import closing

import pytest

from policyc.runtime import backend as backends
from policyc.runtime import control
from policyc.runtime.control import Server, ask
from policyc.runtime.endings import ENDED, Ending
from policyc.runtime.guest import flat, prepare
from policyc.runtime.session import Session
from policyc.vocabulary.diagnostic import UnreadableError
from tests.runtime.running import bundle, code, written

POLICY = (
    "language 1\ntarget vmx, kvm\ndefault passthrough\nintercept io 0x60\nprofile late {\n    intercept io 0x61\n}\n"
)


@pytest.fixture
def session():
    """A guest that could run, and need not."""
    with closing(backends.make("sim")) as backend:
        yield Session(backend, prepare(flat(code("again: jmp again", 16), 16)), bundle(POLICY), timeout=30)


def say(path: str, data: bytes) -> dict:
    """What the server answers to raw bytes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.settimeout(20)
        made.connect(path)
        made.sendall(data)
        made.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := made.recv(4096):
            answer += piece
        return json.loads(answer)


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"nonsense\n", b"[1]\n", b"{}\n", b'{"format_version": 2, "command": "switch"}\n',
     b'{"format_version": 1, "command": "shutdown"}\n', b'{"format_version": 1, "command": "switch", "profile": 7}\n',
     b'{"format_version": 1, "command": "switch", "bundle": ["x"]}\n',
     b'{"format_version": 1, "command": "switch", "bundle": "/nowhere", "profile": "late"}\n',
     b'{"format_version": 1, "command": "switch", "profile": "nope"}\n', b"x" * 70_000 + b"\n", b"[" * 60_000 + b"\n",
     b"\xff\xfe\n"],
)  # fmt: skip
def test_whatever_is_said_is_answered_and_changes_nothing(data, session, tmp_path) -> None:
    path = str(tmp_path / "s")
    with Server(path, session):
        try:
            answer = say(path, data)
        except ConnectionResetError:  # It did not listen to the end.
            assert len(data) > control.MOST_BYTES
        else:
            assert answer["ok"] is False
            assert answer["error"]
        assert ask(path, {"command": "status"})["profile"] is None
    assert session.switches == []


def test_a_profile_of_the_running_bundle_needs_no_path(session, tmp_path) -> None:
    path = str(tmp_path / "s")
    with Server(path, session):
        answer = ask(path, {"command": "switch", "profile": "late"})
        assert (answer["ok"], answer["profile"]) == (True, "late")
        assert ask(path, {"command": "status"})["profile"] == "late"
        assert session.force.traps("in", 0x61)


def test_another_bundle_is_verified_by_the_run_and_then_in_force(session, tmp_path) -> None:
    other = written(POLICY.replace("0x60", "0x70"), tmp_path)
    path = str(tmp_path / "s")
    with Server(path, session):
        answer = ask(path, {"command": "switch", "bundle": other, "profile": None})
    assert answer["ok"]
    assert answer["verified_ms"] > 0
    assert (session.force.traps("in", 0x60), session.force.traps("in", 0x70)) == (False, True)


def test_a_silent_connection_delays_others_no_longer_than_its_patience(session, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(control, "PATIENCE", 0.2)
    path = str(tmp_path / "s")
    with Server(path, session), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.connect(path)
        assert ask(path, {"command": "status"})["ok"]


def test_the_socket_is_its_owners_alone_and_gone_afterwards(session, tmp_path) -> None:
    path = str(tmp_path / "s")
    with Server(path, session):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert not os.path.exists(path)


def test_a_dead_runs_socket_is_replaced_and_a_living_ones_is_not(session, tmp_path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(path)
    with Server(path, session):
        with pytest.raises(UnreadableError, match=r"cannot listen at .*exists"), Server(path, session):
            pass
        assert ask(path, {"command": "status"})["ok"]


def test_who_finds_the_socket_can_connect(session, tmp_path, monkeypatch) -> None:
    """A script may wait for the file to appear: it is not there before somebody listens."""
    path = str(tmp_path / "s")
    seen = []
    link = os.link

    def watched(draft: str, final: str) -> None:
        seen.append(os.path.exists(final))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
            made.connect(draft)  # Refused, if nobody listened yet.
        link(draft, final)

    monkeypatch.setattr("os.link", watched)
    with Server(path, session):
        assert seen == [False]
        assert os.listdir(tmp_path) == ["s"]


def test_a_file_that_is_no_socket_is_left_alone(session, tmp_path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(UnreadableError, match="cannot listen at"), Server(str(tmp_path / "s"), session):
        pass
    assert (tmp_path / "s").read_text() == "precious"


def test_switching_from_many_connections_while_the_guest_runs_keeps_every_answer(session, tmp_path) -> None:
    path = str(tmp_path / "s")
    answers = []

    def switch() -> None:
        for turn in range(20):
            answers.append(ask(path, {"command": "switch", "profile": ("late", None)[turn % 2]}))
        session.stop(Ending(ENDED, "enough"))

    with Server(path, session):
        threads = [threading.Thread(target=switch) for _ in range(3)]
        for each in threads:
            each.start()
        report = session.run()
        for each in threads:
            each.join()
    assert report.ending.text == "enough"
    assert [each["ok"] for each in answers] == [True] * 60
    assert len(session.switches) == 60
