"""``policyc exec``: the policy of a VMM that runs is changed, from outside or by its guest's own accesses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from policyc.bundle.write import write_bundle
from policyc.pipeline import compile_policy
from tests.runtime.running import ROOT, written
from tests.runtime.vmm import HEAD, RDMSR, own_vmm

SWITCH = """
import subprocess
def policyc(*words):
    "What `policyc profile` said, and how it ended."
    clean = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "POLICYC_EXEC")}
    words = [sys.executable, "-m", "policyc", "profile", *words, "--control", "vm.sock"]
    done = subprocess.run(words, capture_output=True, text=True, env=clean)
    return [done.returncode, done.stdout + done.stderr]

class Asking(Exits):
    "At the guest's OUT to 0x80 + n, the nth of the steps."
    def __init__(self, *steps):
        self.steps, self.said = steps, []
    def port(self, port, width, write, value):
        if write and 0x80 <= port < 0x80 + len(self.steps):
            self.said.append(self.steps[port - 0x80]())
        return super().port(port, width, write, value)

def asking(vm, *steps):
    exits = Asking(*steps)
    try:
        vm.run(exits, None)
    except Stop:
        return exits.said
"""
"""For the VMM: a guest whose OUT to port 0x80, 0x81, ... has policyc asked for something at that very moment."""

PROFILES = HEAD + (
    "a: intercept msr 0x8b read -> count, const(1)\nb: intercept io 0x10 in -> const(1)\n"
    "profile other {\n    c: intercept msr 0x8b read -> count, const(2)\n    d: intercept io 0x10 in -> const(2)\n"
    "    e: intercept msr 0x174 read -> const(2)\n}\n"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch) -> None:
    """Sockets have short paths."""
    monkeypatch.chdir(tmp_path)


def controlled(policy: str, guest: str, body: str, tmp_path: Path, *options: str):
    script = SWITCH + "\n".join(line.removeprefix("    ") for line in body.splitlines())
    return own_vmm(policy, guest, script, tmp_path, "--control", "vm.sock", *options)


GUEST = "mov di, 0x800\n{0}out 0x80, al\n{0}hlt\n".format(RDMSR.format("0x8b") + "in al, 0x10\nstosb\n")
SEEN = "[vm.memory()[0x800 + 9 * n] for n in range(2)], [vm.memory()[0x808 + 9 * n] for n in range(2)]"


def test_another_profile_decides_from_the_next_access_on(tmp_path: Path) -> None:
    body = f"""
    vm = machine(image)
    said = asking(vm, lambda: policyc("vm.bundle", "other", "--format", "json"))
    print(json.dumps([said, {SEEN}]))
    """
    (said, msrs, ports), report = controlled(PROFILES, GUEST, body, tmp_path)
    assert (msrs, ports) == ([1, 2], [1, 2])
    ((status, text),) = said
    answer = json.loads(text)
    assert status == 0
    assert answer["profile"] == "other"
    assert 0 < answer["switched_ms"] < 1000
    (switch,) = report[-1]["switches"]
    assert (switch["profile"], switch["cause"]) == ("other", "control")
    # Each exit is counted for the rule that decided it then.
    assert {each["rule"]: each["exits"] for each in report[-1]["rules"]} == {
        "vm.pol:4 a": 1,
        "vm.pol:5 b": 1,
        "vm.pol:7 c": 1,
        "vm.pol:8 d": 1,
    }
    assert report[-1]["counters"] == {"vm.pol:4 a": 1, "vm.pol:7 c": 1}


def test_a_vcpu_that_makes_no_exit_meets_the_new_filter(tmp_path: Path) -> None:
    body = """
    vm = machine(image)
    said = []
    thread = threading.Timer(0.2, lambda: said.append(policyc("vm.bundle", "other")))
    thread.start()
    run(vm)
    thread.join()
    print(json.dumps(said))
    """
    guest = "mov ecx, 0x174\nagain: rdmsr\ncmp eax, 2\njne again\nhlt"
    said, report = controlled(PROFILES, guest, body, tmp_path)
    assert said[0][0] == 0
    rules = {each["rule"]: each["exits"] for each in report[-1]["rules"]}
    assert rules.pop("vm.pol:9 e") == 1
    # The filter is there a moment before the rules: meanwhile the old ones decide.
    assert set(rules) <= {"default msr"}


def test_another_bundle_is_built_loaded_and_keeps_what_shadows_hold(tmp_path: Path) -> None:
    old = HEAD + "a: intercept msr 0x174 -> shadow(init=5)\nb: intercept io 0x20..0x21 -> shadow(init=0x34)\n"
    new = HEAD + (
        "x: intercept io 0x21..0x23 -> shadow(init=9)\ny: intercept msr 0x174..0x175 -> shadow(init=7)\n"
        "z: intercept msr 0x8b read -> const(3)\n"
    )
    (tmp_path / "new.pol").write_text(new)
    write_bundle(str(tmp_path / "new.bundle"), compile_policy(str(tmp_path / "new.pol")).files)
    body = """
    vm = machine(image)
    said = asking(vm, lambda: policyc("new.bundle"), lambda: policyc("vm.bundle"))
    print(json.dumps([said, vm.memory()[0x800:0x820].cast("Q").tolist(), list(bytes(vm.memory()[0x820:0x825]))]))
    """
    write = "mov ecx, 0x174\nmov eax, {}\nxor edx, edx\nwrmsr\nmov al, {}\nout 0x21, al\n"
    guest = (
        "mov di, 0x800\n" + write.format(0x66, 0x77) + "out 0x80, al\n"
        + "".join(RDMSR.format(each) for each in ("0x174", "0x175", "0x8b"))
        + "mov bl, 0\nin al, 0x21\nmov [0x820], al\nin al, 0x22\nmov [0x821], al\n"
        + write.format(0x88, 0x99) + "out 0x81, al\n" + RDMSR.format("0x174")
        + "in al, 0x20\nmov [0x822], al\nin al, 0x21\nmov [0x823], al\nhlt"
    )  # fmt: skip
    (said, words, ports), report = controlled(old, guest, body, tmp_path)
    assert [status for status, _ in said] == [0, 0], said
    assert words == [0x66, 7, 3, 0x88]
    assert ports[:2] == [0x77, 9]
    # Back again: what only the first one has is as it was, and what both have as it was left.
    assert ports[2:4] == [0x34, 0x99]
    assert [os.path.basename(each["bundle"]) for each in report[-1]["switches"]] == ["new.bundle", "vm.bundle"]


def test_going_back_and_forth_adds_no_policies(tmp_path: Path) -> None:
    body = """
    def forth_and_back():
        said = [policyc("vm.bundle", *words) for words in (("other",), (), ("other",))]
        folder = os.path.dirname(os.environ["POLICYC_EXEC"])
        return [status for status, _ in said] + [len([each for each in os.listdir(folder) if each[:7] == "shared."])]
    vm = machine(image)
    print(json.dumps(asking(vm, forth_and_back)))
    """
    said, report = controlled(PROFILES, "out 0x80, al\nin al, 0x10\nhlt", body, tmp_path)
    assert said == [[0, 0, 0, 2]]
    assert [each["profile"] for each in report[-1]["switches"]] == ["other", None, "other"]
    assert report[-1]["rules"] == [{"rule": "vm.pol:8 d", "exits": 1}]


def test_a_bundle_that_fails_verification_changes_nothing(tmp_path: Path) -> None:
    body = f"""
    import pathlib, shutil
    def break_and_ask():
        shutil.copytree("vm.bundle", "bad.bundle")
        file = pathlib.Path("bad.bundle/exit_handler.c")
        file.write_bytes(file.read_bytes().replace(b"count", b"c0unt", 1))
        return policyc("bad.bundle", "other")
    vm = machine(image)
    said = asking(vm, break_and_ask)
    print(json.dumps([said, {SEEN}]))
    """
    (said, msrs, ports), report = controlled(PROFILES, GUEST, body, tmp_path)
    ((status, text),) = said
    assert status == 2
    assert "nothing was changed" in text
    assert (msrs, ports) == ([1, 1], [1, 1])
    assert report[-1]["switches"] == []


def test_a_profile_that_the_vmms_filter_leaves_no_room_for_changes_nothing(tmp_path: Path) -> None:
    policy = HEAD + "profile other { a: intercept msr 0x80000000 -> drop\n b: intercept io 0x10 in -> const(2) }\n"
    body = """
    import fcntl
    from policyc.runtime.filter import Filter, Range
    from policyc.runtime.kvm import _kernel_form
    vm = machine(image)
    data, held = _kernel_form(Filter(False, tuple(Range(3, n << 20, 8, bytes(8)) for n in range(16))))
    fcntl.ioctl(vm._vm, api.KVM_X86_SET_MSR_FILTER, data)
    said = asking(vm, lambda: policyc("vm.bundle", "other"))
    print(json.dumps([said, vm.memory()[0x800]]))
    """
    (said, read), _ = controlled(policy, "out 0x80, al\nin al, 0x10\nmov [0x800], al\nhlt", body, tmp_path)
    ((status, text),) = said
    assert status == 2
    assert "16 ranges do not hold the policy's filter and the VMM's" in text
    assert read == 0x10


def test_a_machine_that_has_only_vcpus_left_refuses_a_switch_and_goes_on_as_it_was(tmp_path: Path) -> None:
    """Its filter is set through a descriptor of the machine, and there is none: of two closed, the first was not the
    last. When its vCPU is gone too, what is left switches again."""
    policy = PROFILES + "profile third { f: intercept io 0x10 in -> const(3) }\n"
    guest = "mov di, 0x800\n" + "".join(f"out {0x80 + n:#x}, al\nin al, 0x10\nstosb\n" for n in range(3)) + "hlt"
    body = """
    vm = machine(image)
    another = os.dup(vm._vm)
    os.close(vm._vm)
    ask = lambda profile: lambda: policyc("vm.bundle", profile)
    said = asking(vm, ask("other"), lambda: os.close(another), ask("third"))
    read = list(bytes(vm.memory()[0x800:0x803]))
    try:
        vm.close()
    except OSError:
        pass  # Its machine is closed already.
    later = machine(image)
    said += asking(later, ask("third"))
    print(json.dumps([said, read, list(bytes(later.memory()[0x800:0x803]))]))
    """
    (said, read, later), report = controlled(policy, guest, body, tmp_path)
    (first, _, refused, last) = said
    assert (first[0], refused[0], last[0]) == (0, 2, 0), said
    assert "the VMM has closed a machine that still has vCPUs" in refused[1]
    assert (read, later) == ([2, 2, 2], [3, 3, 3])
    assert [each["profile"] for each in report[-1]["switches"]] == ["other", "third"]


def test_processes_and_machines_switch_together(tmp_path: Path) -> None:
    """A forked VMM, and two machines in one process, of which one was made after the switch."""
    body = """
    def one(vm):
        return vm.memory()[0x800]
    (ready, made), (go, switched) = os.pipe(), os.pipe()
    child = os.fork()
    vm = machine(image)
    if child == 0:
        os.write(made, b"x")
        asking(vm, lambda: os.read(go, 1) and None)
        os._exit(one(vm))
    os.read(ready, 1)
    said = asking(vm, lambda: policyc("vm.bundle", "other"))
    os.write(switched, b"x")
    later = machine(image)
    run(later)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([said, one(vm), one(later), status]))
    """
    guest = "out 0x80, al\nin al, 0x10\nmov [0x800], al\nhlt"
    (said, *read), _ = controlled(PROFILES, guest, body, tmp_path)
    assert said[0][0] == 0, said
    assert read == [2, 2, 2]


# --auto.


def test_the_access_that_a_rule_waits_for_is_decided_by_the_old_policy_and_the_next_by_the_new(tmp_path: Path) -> None:
    body = f"""
    vm = machine(image)
    run(vm)
    print(json.dumps([{SEEN}]))
    """
    guest = GUEST.replace("out 0x80, al", "mov al, 0x41\nout 0x80, al\nmov al, 0x42\nout 0x80, al\nin al, 0x10")
    auto = ("--auto", "out 0x80 value 0x42=other", "--auto", "in 0x10 value 7=other")
    (msrs, ports), report = own_vmm(PROFILES, guest, body, tmp_path, *auto)
    assert (msrs, ports) == ([1, 2], [1, 2])
    (switch,) = report[-1]["switches"]
    assert (switch["profile"], switch["cause"]) == ("other", "out 0x80 value 0x42")


def test_a_rule_fires_at_an_msr_and_within_a_string(tmp_path: Path) -> None:
    policy = PROFILES + "profile third { f: intercept io 0x10 in -> const(3) }\n"
    guest = "mov di, 0x800\n" + RDMSR.format("0x8b") * 2 + "mov dx, 0x10\nmov cx, 3\nrep insb\nhlt"
    body = "vm = machine(image)\nrun(vm)\nprint(json.dumps(list(bytes(vm.memory()[0x800:0x813]))))"
    auto = ("--auto", "rdmsr 0x8b=other", "--auto", "in 0x10=third")
    read, report = own_vmm(policy, guest, body, tmp_path, *auto)
    assert (read[0], read[8]) == (1, 2)
    assert read[16:] == [2, 3, 3]
    assert [each["profile"] for each in report[-1]["switches"]] == ["other", "third"]


def test_an_auto_rule_for_a_profile_that_is_not_there_is_refused(tmp_path: Path) -> None:
    written(PROFILES, tmp_path)
    words = [sys.executable, "-m", "policyc", "exec", "vm.bundle", "--auto", "out 0x80=othr", "--", "true"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "did you mean other?" in done.stderr


# The live view.


def test_a_report_on_a_terminal_of_its_own_is_drawn_while_the_vmm_runs(tmp_path: Path) -> None:
    body = """
    import time
    vm = machine(image)
    asking(vm, lambda: time.sleep(0.8))
    print(1)
    """
    controlling, terminal = os.openpty()
    script = SWITCH + body.replace("\n    ", "\n")
    _, report = own_vmm(PROFILES, GUEST, script, tmp_path, "--report", os.ttyname(terminal), "--format", "text")
    os.close(terminal)
    drawn = os.read(controlling, 1 << 16).decode()
    os.close(controlling)
    assert report == []
    assert "\x1b[3A\x1b[J" in drawn  # Three lines are drawn anew: the rate, and two rules.
    assert "exits, " in drawn
    assert "a second, base policy" in drawn
    assert drawn.rstrip().splitlines()[-1].strip().startswith("vm.pol:4 a")
