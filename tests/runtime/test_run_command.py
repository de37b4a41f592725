"""``policyc run`` and ``policyc profile`` as their users meet them."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from policyc.cli import frame
from tests.runtime.running import GUESTS, ROOT, assembled, available, code, written

HELLO = (GUESTS / "hello.pol").read_text()
PLAIN = "language 1\ntarget vmx, svm, kvm\ndefault passthrough\n"


@pytest.fixture
def hello(tmp_path):
    """A bundle and a guest for it: words of a command line."""
    guest = tmp_path / "hello.bin"
    guest.write_bytes(assembled("hello", 16))
    return ["run", written(HELLO, tmp_path), "--guest", str(guest)]


def ran(words, capsys) -> tuple[int, str, str]:
    status = frame.run(words)
    out = capsys.readouterr()
    return status, out.out, out.err


@pytest.mark.parametrize("backend", ["kvm", "sim"])
def test_each_exit_is_a_line_and_the_summary_counts_them(backend, hello, capsys) -> None:
    available(backend)
    status, out, err = ran([*hello, "--backend", backend], capsys)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert f"the base policy on {backend}, images for {'kvm' if backend == 'kvm' else 'vmx'}" in lines[0]
    assert any("SIMULATION" in each for each in lines) is (backend == "sim")
    assert any("0x800..0x8ff" in each for each in lines) is (backend == "kvm")
    assert "console: hello from a guest of 16 bits" in lines
    assert "log: wrmsr 0xc0000080 value 0x1  vm.pol:13 efer" in lines
    exits = [each for each in lines if re.match(r" +\d+ +\d+\.\d{6}  ", each)]
    told = re.search(r"^([\d,]+) exits in [\d.]+ s, [\d,]+ a second$", out, re.MULTILINE)
    assert told is not None
    assert len(exits) == int(told[1])
    assert any(
        re.fullmatch(r" +\d+ +[\d.]+  wrmsr IA32_EFER \(0xc0000080\) = 0x1  mask  vm.pol:13 efer", each)
        for each in exits
    )
    assert "  vm.pol:16 uart       30" in lines
    assert "  wrmsr IA32_EFER (0xc0000080)    1" in lines
    assert "costs most: default io, 31 of 67 trapped exits (46 %)" in lines


@pytest.mark.parametrize("backend", ["kvm", "sim"])
def test_json_lines_tell_the_same(backend, hello, capsys) -> None:
    available(backend)
    status, out, _ = ran([*hello, "--backend", backend, "--format", "json", "--profile", "quiet"], capsys)
    events = [json.loads(line) for line in out.splitlines()]
    first, last = events[0], events[-1]
    assert (status, first["event"], first["format_version"], last["event"]) == (0, "start", 1, "summary")
    assert (first["profile"], first["simulated"]) == ("quiet", backend == "sim")
    exits = [each for each in events if each["event"] == "exit"]
    assert len(exits) == last["exits"]
    assert {each["event"] for each in events} == {"start", "exit", "log", "trace", "console", "summary"}
    assert [each["text"] for each in events if each["event"] == "console"] == ["d"]
    assert {each["rule"]: each["exits"] for each in last["rules"]}["vm.pol:22 mute"] == 30
    assert last["ending"] == {
        "how": "ended",
        "text": "the guest wrote 0x0 to the exit port 0xf4",
        "value": 0,
        "clean": True,
    }
    drops = [each for each in exits if each["rule"] == "vm.pol:17 keyboard"]
    assert [(each["kind"], each["address"], each["value"], each["action"]) for each in drops] == [
        ("in", 0x60, 255, "drop")
    ]


@pytest.mark.parametrize(
    ("body", "options", "status", "said"),
    [
        ("out 0x64, al", [], 1, "killed: the policy stopped the guest: vm.pol:4 says kill for out 0x64"),
        ("again: jmp again", ["--timeout", "0.2"], 1, "timeout: the time of 0.2 s was over"),
        ("again:\nin al, 0x60\njmp again", ["--max-exits", "5"], 1, "max-exits: 5 exits were allowed"),
        ("ud2", [], 1, "crashed: the guest took exception or interrupt 6 and has no handler for it"),
        ("hlt", [], 0, "halted: the guest halted at rip 0x1001"),
        ("mov dx, 0x604\nmov ax, 0x2000\nout dx, ax", [], 0, "ended: the guest powered off through port 0x604"),
    ],
)
def test_the_exit_code_says_whether_the_guest_ended_by_itself(body, options, status, said, tmp_path, capsys) -> None:
    (tmp_path / "g.bin").write_bytes(code(body, 16))
    path = written(PLAIN + "intercept io 0x64 out -> kill\nintercept io 0x60\n", tmp_path)
    words = ["run", path, "--guest", str(tmp_path / "g.bin"), "--backend", "sim", "--show", "summary", *options]
    found, out, _ = ran(words, capsys)
    assert (found, said in out.splitlines()) == (status, True), out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "B"], "--guest is missing"),
        (["run", "B", "--guest", "nowhere.bin"], "cannot read the guest nowhere.bin: no such file or directory"),
        (["run", "nowhere.bundle", "--guest", "G"], "cannot read the bundle nowhere.bundle"),
        (["run", "B", "--guest", "G", "--profile", "lat"], "did you mean late?"),
        (["run", "B", "--guest", "G", "--backend", "xen"], "there is no backend 'xen'"),
        (["run", "B", "--guest", "G", "--timeout", "0"], "--timeout cannot be `0`"),
        (["run", "B", "--guest", "G", "--max-exits", "0"], "--max-exits cannot be `0`"),
        (["run", "B", "--guest", "G", "--memory", "5000"], "--memory cannot be `5000`"),
        (["run", "B", "--guest", "G", "--auto", "wrmsr NOPE=late"], "no MSR is named NOPE"),
        (["run", "B", "--guest", "G", "--auto", "late"], "a pattern and a profile"),
        (["run", "B", "--guest", "G", "--auto", "out 0x80=never"], "lacks profile 'never'"),
        (["run", "B", "--guest", "G", "--irqchip", "--backend", "sim"], "has no --irqchip"),
        (["run", "B", "--guest", "G", "--control", "B"], "cannot listen at"),
        (["profile", "B", "late"], "--control is missing"),
        (["profile", "B", "late", "--control", "no.sock"], "no run listens at no.sock"),
    ],
)
def test_what_cannot_be_done_is_told_with_exit_code_2(words, said, tmp_path, capsys, monkeypatch) -> None:
    (tmp_path / "g.bin").write_bytes(b"\xf4")
    path = written(PLAIN + "intercept io 0x60\nprofile late {\n}\n", tmp_path)
    monkeypatch.chdir(tmp_path)
    words = [{"B": path, "G": "g.bin"}.get(each, each) for each in words]
    if words[0] == "run" and "--backend" not in words:
        words += ["--backend", "sim"]
    status, out, err = ran(words, capsys)
    assert (status, out) == (2, "")
    assert said in err


def test_an_altered_bundle_does_not_run(hello, capsys) -> None:
    image = Path(hello[1], "msr.bin")
    image.write_bytes(b"\x01" + image.read_bytes()[1:])
    status, out, err = ran(hello, capsys)
    assert (status, out) == (2, "")
    assert "msr.bin was altered" in err


def test_a_bundle_without_the_backends_target_says_why(tmp_path, capsys) -> None:
    available("kvm")
    (tmp_path / "g.bin").write_bytes(b"\xf4")
    path = written("language 1\ndefault passthrough\nintercept msr 0x800 write\n", tmp_path)
    status, _, err = ran(["run", path, "--guest", str(tmp_path / "g.bin"), "--backend", "kvm"], capsys)
    assert status == 2
    assert "needs images for kvm; the bundle has vmx; kvm was left out" in err


def test_the_kernels_devices_are_reported_as_not_seen(tmp_path, capsys) -> None:
    available("kvm")
    body = "in al, 0x21\nin al, 0x40\nin al, 0x60\nmov al, 0\nout 0xf4, al"
    (tmp_path / "g.bin").write_bytes(code(body, 16))
    path = written(PLAIN + "intercept io 0 len 0x100 in -> const(1)\n", tmp_path)
    words = ["run", path, "--guest", str(tmp_path / "g.bin"), "--backend", "kvm"]
    _, alone, _ = ran(words, capsys)
    _, chips, _ = ran([*words, "--irqchip"], capsys)
    assert "in PIC1_DATA" in alone or "in 0x21" in alone
    assert "not seen: ports 0x20..0x21, 0xa0..0xa1, 0x4d0..0x4d1, 0x40..0x43" in chips
    assert re.search(r"^by port:\n  in \S+ (\(0x60\) )?width 1 +1\n", chips, re.MULTILINE)


def test_an_auto_rule_takes_a_name_of_the_database(hello, capsys) -> None:
    status, out, _ = ran([*hello, "--backend", "sim", "--auto", "wrmsr IA32_EFER=quiet"], capsys)
    assert status == 0
    assert re.search(r"^switched to profile quiet of \S+ after 62 exits, in force after [\d.]+ ms \(wrmsr IA32_EFER\)$",
                     out, re.MULTILINE)  # fmt: skip


def test_an_auto_rule_that_nothing_can_trigger_is_told(hello, capsys) -> None:
    _, out, _ = ran([*hello, "--backend", "sim", "--auto", "wrmsr IA32_TSC=quiet"], capsys)
    assert "not seen: wrmsr IA32_TSC does not exit under the rules at the start" in out


class Running:
    """A run in a process of its own, with a control socket."""

    def __init__(self, folder: Path, backend: str, policy: str, body: str) -> None:
        self.folder, self.socket = folder, str(folder / "vm.sock")
        self.bundle = written(policy, folder)
        (folder / "g.bin").write_bytes(code(body, 16))
        words = ["run", self.bundle, "--guest", str(folder / "g.bin"), "--backend", backend, "--timeout", "30"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "policyc", *words, "--show", "summary", "--control", self.socket],
            stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        until = time.monotonic() + 20
        while not os.path.exists(self.socket) and time.monotonic() < until:
            time.sleep(0.01)

    def profile(self, *words, capsys) -> tuple[int, str, str]:
        return ran(["profile", *words, "--control", self.socket], capsys)

    def end(self) -> str:
        out, _ = self.process.communicate(timeout=30)
        return out


@pytest.mark.parametrize("backend", ["kvm", "sim"])
def test_a_running_guest_gets_other_rules_and_never_those_of_a_broken_bundle(backend, tmp_path, capsys) -> None:
    available(backend)
    policy = PLAIN + "intercept msr 0x8b read -> const(1)\nprofile late {\n    intercept msr 0x8b read -> const(2)\n}\n"
    loop = "again:\nmov ecx, 0x8b\nrdmsr\ncmp al, 3\njne again\nhlt"
    running = Running(tmp_path, backend, policy, loop)
    status, out, _ = running.profile(running.bundle, "late", capsys=capsys)
    assert status == 0
    assert re.search(r"profile late is in force; verified in [\d.]+ ms, switched in [\d.]+ ms, after [\d,]+ exits", out)
    status, out, _ = running.profile(running.bundle, "--format", "json", capsys=capsys)
    told = json.loads(out)
    assert (status, told["profile"]) == (0, None)
    assert told["switched_ms"] < 1000
    # Nothing of a bundle that does not verify, of a profile that is not there, of a path that leads nowhere.
    (tmp_path / "other").mkdir()
    broken = written(policy.replace("const(1)", "const(3)"), tmp_path / "other")
    image = Path(broken, "kvm_filter.json")
    good = image.read_bytes()
    image.write_bytes(good + b"\n")
    for words, said in (
        ((broken,), "larger than"),
        ((running.bundle, "nope"), "lacks profile"),
        (("/nowhere",), "cannot read"),
    ):
        status, out, err = running.profile(*words, capsys=capsys)
        assert (status, out) == (2, "")
        assert "nothing was changed" in err
        assert said in err
    assert running.process.poll() is None
    # The guest ends once the mended bundle is in force.
    image.write_bytes(good)
    assert running.profile(broken, capsys=capsys)[0] == 0
    out = running.end()
    assert "halted: the guest halted" in out
    assert running.process.returncode == 0
    assert not os.path.exists(running.socket)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_with_its_summary(number, tmp_path) -> None:
    running = Running(tmp_path, "sim", PLAIN + "intercept io 0x60\n", "again:\nin al, 0x60\njmp again")
    time.sleep(0.3)
    running.process.send_signal(number)
    out = running.end()
    assert "interrupted: asked to by a signal" in out
    assert running.process.returncode == 130


def test_on_a_terminal_the_view_is_drawn_anew(tmp_path) -> None:
    path = written(PLAIN + "mine: intercept io 0x60\n", tmp_path)
    (tmp_path / "g.bin").write_bytes(code("again:\nin al, 0x60\njmp again", 16))
    words = ["run", path, "--guest", str(tmp_path / "g.bin"), "--backend", "sim", "--timeout", "1"]
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "policyc", *words], stdout=follower, stderr=follower, cwd=ROOT,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(follower)
    out = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:
            break
        if not part:
            break
        out += part
    os.close(leader)
    assert process.wait(timeout=30) == 1
    text = out.decode()
    assert text.count("\x1b[2A\x1b[J") >= 2
    assert re.search(r"[\d,]+ exits, [\d,]+ a second, base policy\r\n +[\d,]+  vm.pol:4 mine", text)
    assert "timeout: the time of 1 s was over" in text
