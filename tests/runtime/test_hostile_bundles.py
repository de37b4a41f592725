"""A bundle may have been made by anybody: whatever its manifest says, it is refused, or a guest runs under it."""

from __future__ import annotations

import copy
import json
import random
from contextlib import closing
from pathlib import Path

import pytest

from policyc import runtime
from policyc.runtime import backend as backends
from policyc.runtime.guest import flat, prepare
from policyc.runtime.session import Session
from policyc.vocabulary.diagnostic import UnreadableError
from tests.runtime.running import BACKENDS, available, code, run, written

POLICY = """\
language 1
target vmx, svm, kvm
default passthrough
intercept io 0x60 len 4 -> log(rate=3), shadow(init=0x11)
intercept io 0x70 out when value & 0x80 != 0 -> drop
intercept msr 0x8b -> count, shadow(init=5)
intercept io 0x71 on vcpu 1 -> drop
profile late {
    intercept msr 0x10 read -> const(7)
}
"""
GUEST = "in eax, 0x60\nout 0x60, ax\nout 0x70, al\nmov ecx, 0x8b\nrdmsr\nwrmsr\nin al, 0x71\nhlt"


def places(value, at=()):
    """Every place in a JSON value."""
    yield at
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from places(member, (*at, key))


def damaged(document, chance):
    """The document with one or two members replaced, removed, or doubled."""
    out = copy.deepcopy(document)
    for _ in range(chance.randrange(1, 3)):
        at = chance.choice([each for each in places(out) if each])
        holder = out
        for key in at[:-1]:
            holder = holder[key]
        kind = chance.randrange(4)
        if kind == 0 and isinstance(holder, dict):
            del holder[at[-1]]
        elif kind == 1 and isinstance(holder, list):
            holder.append(copy.deepcopy(chance.choice(holder)))
        else:
            strings = ["", "kill", "drop", "shadow(init=0x1)", "value == 0x1", "kvm", "vm.pol", "io", "msr", "rdmsr"]
            holder[at[-1]] = chance.choice([0, 1, -1, 7, 0x60, 2**32 - 1, None, [], {}, [0, 1], *strings])
    return out


@pytest.mark.parametrize("name", BACKENDS)
def test_a_damaged_manifest_is_refused_or_obeyed(name, tmp_path) -> None:
    available(name)
    path = written(POLICY, tmp_path)
    manifest = Path(path, "manifest.json")
    document = json.loads(manifest.read_text())
    start = prepare(flat(code(GUEST, 16), 16), 1 << 20)
    chance = random.Random(11)
    refused = ran = 0
    for _ in range(400):
        manifest.write_text(json.dumps(damaged(document, chance)))
        try:
            bundle = runtime.load(path)
            with closing(backends.make(name)) as backend:
                report = Session(backend, start, bundle, max_exits=50, timeout=10).run()
            assert report.ending.how in ("halted", "killed", "crashed", "max-exits")
            ran += 1
        except UnreadableError:
            refused += 1
    assert ran > 20
    assert refused > 100


def test_a_rule_that_shadows_what_it_does_not_name_is_refused(tmp_path) -> None:
    path = written(POLICY, tmp_path)
    manifest = Path(path, "manifest.json")
    document = json.loads(manifest.read_text())
    document["rules"][2]["ranges"] = [[1, 1]]
    manifest.write_text(json.dumps(document))
    with pytest.raises(UnreadableError, match="shadows msr 0x8b, which it does not name"):
        run("sim", code("mov ecx, 0x8b\nrdmsr\nhlt", 16), 16, runtime.load(path))


@pytest.mark.parametrize("name", BACKENDS)
def test_a_vcpu_gets_the_rules_of_its_class(name, tmp_path) -> None:
    available(name)
    found = runtime.load(written(POLICY, tmp_path))
    image = code("in al, 0x71\nhlt", 16)
    rules = [dict(run(name, image, 16, found, vcpu=each).report.rules) for each in (0, 1)]
    assert "vm.pol:7" not in rules[0]
    assert rules[1]["vm.pol:7"] == 1


def test_a_machine_without_kvm_gets_the_simulation_and_the_reason(monkeypatch) -> None:
    import os

    with pytest.raises(backends.Unavailable, match="/nowhere/kvm: No such file"):
        backends.make("kvm", device="/nowhere/kvm")
    with pytest.raises(backends.Unavailable, match="/dev/null is no KVM"):
        backends.make("kvm", device="/dev/null")
    before = len(os.listdir("/proc/self/fd"))

    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied", "/dev/kvm")

    monkeypatch.setattr("os.open", refuse)
    assert backends.default() == "sim"
    monkeypatch.undo()
    assert len(os.listdir("/proc/self/fd")) == before
