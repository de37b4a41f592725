"""The runtime carries each access out as the compiled exit handler does: decisions, values, faults, logs, shadows."""

from __future__ import annotations

import ctypes
import random
from pathlib import Path

import pytest

from policyc.architecture.vmx import MSR_WINDOWS
from policyc.bundle.write import write_bundle
from policyc.pipeline import compile_policy
from policyc.runtime import load
from policyc.runtime.acting import Actor, Fault, Killed, State
from policyc.runtime.decisions import Decisions
from policyc.vocabulary.access import Access
from tests.handler.native import DONE, FAULT, IN, KILL, OUT, RDMSR, WRMSR, KvmIo, KvmMsr, Native

ROOT = Path(__file__).parents[2]
EXAMPLES = [each for each in sorted((ROOT / "examples").rglob("*.pol")) if each.stem != "baseline"]
"""baseline.pol is there to be imported: its `never allow` lines do not hold by themselves."""
KINDS = {RDMSR: "rdmsr", WRMSR: "wrmsr", IN: "in", OUT: "out"}
VALUES = (0, 0x2000, 0x8000_0000, 0x8000_0000_8000_0041, 0xFE, 6)

EVERYTHING = """\
language 1
default msr passthrough
default io exit
default msr outside -> log, inject(ud)
efer: intercept msr 0xc0000080 write -> log(rate=2), mask(and=~0x500, or=1)
intercept msr 0x174..0x176 read -> mask(and=0xff00ff00ff)
com1: intercept io 0x3f8 len 8 -> count, forward(uart)
pci: intercept io 0xcf8 len 8 out width 4 when value & 0x80000000 != 0 -> trace, forward(vpci)
intercept io 0xcf8 len 8 width 1 -> mask(and=0x0f, or=0x40)
intercept io 0x64 out -> kill
intercept io 0x61 out when cpl != 0 -> inject(gp)
intercept io 0x70 len 2 -> shadow(init=0x5a)
intercept io 0x5000 len 32 width 4 -> shadow(init=0x44332211)
intercept io 0x80 -> log, notify
intercept io 0x60 in -> const(0xfe)
intercept io 0x20 len 2 -> drop
allow io 0x92
intercept msr 0x1a0..0x1a3 -> shadow(init=0x1122334455667788)
intercept msr 0x3a when cpl == 3 -> kill
intercept msr 0x3b write when value > 0x100 and value < 0x9000 -> trace, drop
intercept msr 0x3b read -> const(7)
intercept io 0xfff0 len 16 in -> const(0x99)
intercept msr 0x40000000 -> passthrough
deny msr 0x10 write
profile late {
    default io passthrough
    intercept io 0x5004 len 8 width 2 -> shadow(init=0x7788)
    intercept msr 0x1a1 -> shadow(init=0x99)
    intercept msr 0x174 -> kill
}
"""


class World:
    """Answers as the harness of the compiled handler does, and keeps the same notes."""

    REAL, HOOK = 0x1122334455667788, 0x99AABBCCDDEEFF00

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def read_port(self, port, width):
        self.events.append(("real", IN, port, width, 0))
        return self.REAL & 0xFFFFFFFF

    def write_port(self, port, width, value):
        self.events.append(("real", OUT, port, width, value))

    def read_msr(self, index):
        self.events.append(("real", RDMSR, index, 8, 0))
        return self.REAL

    def write_msr(self, index, value):
        self.events.append(("real", WRMSR, index, 8, value))

    def log(self, decider, access, suppressed):
        self.events.append(("log", access.address, suppressed))

    def trace(self, decider, access):
        self.events.append(("trace", access.address))


class Runtime:
    """The runtime's side of one vCPU under one profile."""

    def __init__(self, bundle, profile, windows) -> None:
        self.world = World()
        self.decisions = Decisions(bundle, profile, 0, windows)
        self.now = 0
        names = {
            each.removeprefix("forward(").removesuffix(")")
            for rule in bundle.manifest.document["rules"]
            for each in rule["actions"]
            if each.startswith("forward(")
        }
        forwards = {name: self.forward(name) for name in names}
        self.actor = Actor(self.world, State(self.decisions), self.world, lambda: self.now, forwards)

    def forward(self, name):
        def called(access):
            write = access.kind in ("out", "wrmsr")
            self.world.events.append((name, write, access.address, access.value))
            return World.HOOK & 0xFFFFFFFF

        return called

    def do(self, kind, address, width, value, cpl):
        """(status, value, vector), and what happened on the way."""
        self.world.events.clear()
        write = kind in (OUT, WRMSR)
        access = Access(KINDS[kind], address, width, value if write else 0, cpl)
        if kind in (IN, OUT):
            verdict = self.decisions.port(address, width, write, access.value, cpl)
        else:
            verdict = self.decisions.msr(address, write, access.value, cpl)
        status, result, vector = DONE, 0, None
        try:
            result = self.actor.perform(verdict, access)
        except Fault as fault:
            status, vector = FAULT, fault.vector
        except Killed:
            status = KILL
        return (status, 0 if write else result, vector), list(self.world.events)


def compiled(machine, kind, address, width, value, cpl, vmx):
    """The same of the compiled handler. Its exit and notify hooks stand for what the world does in the runtime."""
    ones = (1 << 8 * width) - 1
    if kind in (RDMSR, WRMSR):
        if vmx:
            guest = machine.guest
            guest.rcx, guest.rax, guest.rdx, guest.cpl = address, value & 0xFFFFFFFF, value >> 32, cpl
            status = machine.vmx(31 if kind == RDMSR else 32)
            result = guest.rdx << 32 | guest.rax
        else:
            msr = KvmMsr(value if kind == WRMSR else 0, address, 0, cpl, kind == WRMSR)
            machine.events.clear()
            status = machine.function("kvm_msr")(ctypes.byref(machine.vcpu), machine.profile, ctypes.byref(msr))
            result = msr.data
            assert msr.error == (status != DONE)
    else:
        data = (ctypes.c_uint8 * 8)(*(value & ones).to_bytes(8, "little"))
        status = machine.kvm_io(KvmIo(data, 1, 0, address, int(kind == OUT), width, cpl))
        result = int.from_bytes(bytes(data), "little") & ones
    events = list(machine.events)
    vector = next((each[1] for each in events if each[0] == "inject"), None)
    if status == FAULT and vector is None:
        vector = 13  # KVM raises it by itself for an MSR.
    read = status == DONE and kind in (RDMSR, IN)
    told = [("real", *each[1:5]) if each[0] in ("exit", "notify") else each for each in events]
    return (status, result & ones if read else 0, vector), [e for e in told if e[0] not in ("inject", "kill")]


def accesses(policy, seed):
    """Every edge of every rule at every width, direction and a few values, in an order of chance; twice."""
    cuts = {"msr": {0, 0x800, 0x1FFF, 0x2000, 0x40000000, 0xC0000000, 0xC0002000, 0xC0010015, 0xFFFFFFFF}}
    cuts["io"] = {0, 0x7FFE, 0xFFFD, 0xFFFE, 0xFFFF}
    for rule in policy.rules:
        cuts[rule.space] |= {edge + step for pair in rule.ranges for edge in pair for step in (-3, -2, -1, 0, 1)}
    out = []
    for index in cuts["msr"]:
        if 0 <= index <= 0xFFFFFFFF:
            out += [(RDMSR, index, 8, 0, cpl) for cpl in (0, 3)]
            out += [(WRMSR, index, 8, value, cpl) for value in VALUES for cpl in (0, 3)]
    for port in cuts["io"]:
        if 0 <= port <= 0xFFFF:
            for width in (1, 2, 4):
                ones = (1 << 8 * width) - 1
                out += [(IN, port, width, 0, cpl) for cpl in (0, 3)]
                out += [(OUT, port, width, value & ones, cpl) for value in VALUES for cpl in (0, 3)]
    chance = random.Random(seed)
    chance.shuffle(out)
    del out[4000:]
    return out + out[: len(out) // 4]


def compare(path, tmp_path):
    found = compile_policy(str(path))
    write_bundle(str(tmp_path / "bundle"), found.files)
    bundle = load(str(tmp_path / "bundle"))
    asked = accesses(found.policy, path.name)
    count = 0
    for profile in dict.fromkeys(each.profile for each in bundle.manifest.variants):
        for vmx in (False, True):
            machine = Native(found.policy, tmp_path / "native", profile=profile)
            machine.values["hook"] = World.REAL  # In the runtime the hook is the world.
            machine.answers.update(dict.fromkeys(machine_forwards(bundle), forwarded))
            runtime = Runtime(bundle, profile, MSR_WINDOWS if vmx else None)
            for number, (kind, address, width, value, cpl) in enumerate(asked):
                if vmx and kind in (IN, OUT):
                    continue
                machine.clock = runtime.now = number // 50
                mine = runtime.do(kind, address, width, value, cpl)
                assert mine == compiled(machine, kind, address, width, value, cpl, vmx), (
                    f"{path.name} {profile} {KINDS[kind]} {address:#x} width {width} value {value:#x} cpl {cpl}"
                )
                count += 1
    return count


def machine_forwards(bundle):
    rules = bundle.manifest.document["rules"]
    return {each[8:-1] for rule in rules for each in rule["actions"] if each.startswith("forward(")}


def forwarded(access):
    access.value = World.HOOK & 0xFFFFFFFF
    return DONE


def test_every_action_and_condition_is_carried_out_as_the_handler_does(tmp_path) -> None:
    path = tmp_path / "everything.pol"
    path.write_text(EVERYTHING)
    assert compare(path, tmp_path) > 10_000


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda each: each.stem)
def test_an_example_is_carried_out_as_its_handler_does(path, tmp_path) -> None:
    assert compare(path, tmp_path) > 0
