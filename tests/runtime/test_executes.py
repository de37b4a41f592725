"""Whole address spaces, tried by a guest on a real /dev/kvm and compared with the evaluator; and guests that mean harm."""

from __future__ import annotations

import os
import random
import resource
import time
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from policyc.bundle.write import write_bundle
from policyc.pipeline import compile_policy
from policyc.proof.evaluate import judge, read
from policyc.runtime import backend as backends
from policyc.runtime import force, load, sim
from policyc.runtime.guest import flat, prepare
from policyc.runtime.session import Session
from policyc.semantics.policy import Variant
from policyc.vocabulary.access import Access
from tests.runtime.running import BACKENDS, MODES, assembled, available, code, run

WINDOWS = ((0, 0x1FFF), (0xC0000000, 0xC0001FFF), (0xC0010000, 0xC0011FFF))
X2APIC = (0x800, 0x8FF)
PLAIN = "language 1\ntarget vmx, svm, kvm\ndefault passthrough\n"


def random_msr_policy(seed: int) -> str:
    """Ranges in the three windows, read, written or both, with exceptions; every other one is closed by default."""
    chance = random.Random(seed)
    closed = seed % 2 == 1
    lines = ["language 1", "target kvm", "default io passthrough", f"default msr {'exit' if closed else 'passthrough'}"]
    lines.append(f"override allow msr {X2APIC[0]:#x}..{X2APIC[1]:#x}")
    for _ in range(chance.randrange(3, 12)):
        first, last = chance.choice(WINDOWS)
        lo = chance.randrange(first, last + 1)
        hi = min(last, lo + chance.choice((0, 0, 1, 7, 63, 0x7FF)))
        verb = "allow" if closed else chance.choice(("intercept", "intercept", "allow"))
        action = " -> passthrough" if verb == "intercept" else ""
        lines.append(f"{verb} msr {lo:#x}..{hi:#x} {chance.choice(('read', 'write', 'rw'))}{action}")
    return "\n".join(lines) + "\n"


def random_port_policy(seed: int) -> str:
    """Ranges of ports by direction and width. The exit ports are dropped, so that the sweep lives."""
    chance = random.Random(seed)
    lines = [PLAIN, "override intercept io 0xf1 len 7 out -> drop"]
    for number in range(12):
        lo = chance.randrange(0x1000) << 4 if number else 0x7FFE
        hi = min(0xFFFF, lo + chance.choice((0, 1, 3, 15)))
        action = (" -> drop", " -> passthrough", "")[number % 3]
        width = chance.choice(("", " width 1", " width 2, 4"))
        lines.append(f"intercept io {lo:#x}..{hi:#x} {chance.choice(('in', 'out', 'inout'))}{width}{action}")
    return "\n".join(lines) + "\n"


@cache
def compiled(text: str):
    """The policy, and its bundle in memory."""
    with TemporaryDirectory() as folder:
        source = Path(folder, "vm.pol")
        source.write_text(text)
        found = compile_policy(str(source))
        write_bundle(str(Path(folder, "b")), found.files)
        return found.policy, load(str(Path(folder, "b")))


def verdicts(policy, kind: str, width: int, lo: int, hi: int, target: str):
    """(address, the evaluator's verdict) for all of lo..hi. It is asked anew wherever a rule, a window or the port space
    begins or ends under a byte of the access; between these it reads the same rules."""
    space = "msr" if kind.endswith("msr") else "io"
    reach = 0 if space == "msr" else width - 1
    edges = {0x800, 0x900, 0x2000, 0xC0002000, 0xC0012000, 0xFFFD, 0xFFFE, 0xFFFF}
    for rule in policy.rules:
        if rule.space == space:
            edges |= {
                edge - back for pair in rule.ranges for edge in (pair[0], pair[1] + 1) for back in range(reach + 1)
            }
    reading, verdict = read(policy, Variant()), None
    for address in range(lo, hi + 1):
        if verdict is None or address in edges:
            verdict = judge(reading, Access(kind, address, width), target)
        yield address, verdict


def swept(name: str, bits: int, bundle, *defines: str, timeout: float = 120):
    """The counts of a sweep: (kind, address, width) -> Seen; the sweep must come to its end."""
    with closing(backends.make(name)) as backend:
        start = prepare(flat(assembled("sweep", bits, *defines), bits))
        session = Session(backend, start, bundle, timeout=timeout)
        report = session.run()
        assert report.ending.how == "halted", report.ending.text
        found = {**session.force.ports, **session.force.msrs}
        return {(each.kind, each.address, each.width): each for each in found.values()}


@pytest.fixture(autouse=True)
def every_address_is_counted(monkeypatch) -> None:
    """A sweep of all ports touches more addresses than a run remembers."""
    monkeypatch.setattr(force, "MOST_SEEN", 1 << 20)


def compare_msrs(name: str, bits: int, seed: int) -> int:
    policy, bundle = compiled(random_msr_policy(seed))
    ranges = ",".join(f"{each:#x}" for pair in WINDOWS for each in pair)
    seen = swept(name, bits, bundle, f"MSRS={ranges}", "PORTS=0")
    assert all(each.count == 1 for each in seen.values())
    compared = 0
    for first, last in WINDOWS:
        for kind in ("rdmsr", "wrmsr"):
            for index, verdict in verdicts(policy, kind, 8, first, last, "kvm"):
                assert ((kind, index, 8) in seen) is verdict.exits, f"{kind} {index:#x} seed {seed}"
                compared += 1
    return compared


@pytest.mark.parametrize(("bits", "seed"), [(16, 1), (16, 2), (64, 3), (64, 4)])
def test_every_msr_of_three_windows_exits_where_the_evaluator_says(bits, seed) -> None:
    available("kvm")
    assert compare_msrs("kvm", bits, seed) == 49_152


@pytest.mark.slow
@pytest.mark.parametrize("bits", MODES)
def test_the_msrs_of_many_random_policies_exit_where_the_evaluator_says(bits) -> None:
    available("kvm")
    assert sum(compare_msrs("kvm", bits, seed) for seed in range(100, 120)) == 20 * 49_152


def compare_ports(bits: int, seed: int, ports: int) -> int:
    policy, bundle = compiled(random_port_policy(seed))
    seen = swept("kvm", bits, bundle, "MSRS=0,0", f"PORTS={ports}")
    compared = 0
    for kind in ("in", "out")[:ports]:
        for width in (1, 2, 4):
            hardware = verdicts(policy, kind, width, 0, 0xFFFF, "vmx")
            for (port, verdict), (_, wired) in zip(
                verdicts(policy, kind, width, 0, 0xFFFF, "kvm"), hardware, strict=True
            ):
                each = seen[kind, port, width]
                where = f"{kind} {port:#x} width {width} seed {seed}"
                assert each.verdict.last.name == verdict.actions[-1].name, where
                assert (each.traps, each.count) == (wired.exits, 1), where
                compared += 1
    return compared


def test_an_in_at_every_port_of_every_width_gets_the_evaluators_verdict() -> None:
    available("kvm")
    assert compare_ports(16, 1, 1) == 3 * 65536


@pytest.mark.slow
@pytest.mark.parametrize("bits", MODES)
def test_in_and_out_at_every_port_of_every_width_get_the_evaluators_verdict(bits) -> None:
    available("kvm")
    assert sum(compare_ports(bits, seed, 2) for seed in range(3)) == 3 * 6 * 65536


@pytest.mark.parametrize("bits", [16, 64])
def test_x2apic_msrs_are_never_filtered_and_their_neighbours_are(bits) -> None:
    available("kvm")
    policy = (
        f"language 1\ntarget kvm\ndefault io passthrough\ndefault msr exit\nallow msr {X2APIC[0]:#x}..{X2APIC[1]:#x}\n"
    )
    _, bundle = compiled(policy)
    seen = swept("kvm", bits, bundle, "MSRS=0x7f0,0x90f", "PORTS=0", "WRITE=0")
    assert sorted(address for _, address, _ in seen) == [*range(0x7F0, 0x800), *range(0x900, 0x910)]


def test_the_simulation_agrees_with_kvm_on_what_exits() -> None:
    available("kvm")
    _, bundle = compiled(random_msr_policy(6))
    ranges = "MSRS=0x0,0x3ff,0xc0000000,0xc00003ff"
    keys = [set(swept(name, 32, bundle, ranges, "PORTS=0")) for name in BACKENDS]
    assert keys[0] == keys[1]


@pytest.mark.parametrize("target", ["vmx", "svm"])
def test_the_simulation_reads_every_bit_as_the_manuals_say(target) -> None:
    text = PLAIN + (
        "intercept msr { 0x10, 0x1b..0x3a, 0x1ffe..0x2001, 0xc0000080, 0xc0001fff } write -> passthrough\n"
        "intercept msr { 0x8b, 0xc0010015, 0xc0000000 } read -> passthrough\n"
        "intercept io { 0, 0x60..0x64, 0x7fff, 0x8001, 0xfffe } -> passthrough\n"
    )
    policy, bundle = compiled(text)
    rules = {"vmx": sim._vmx, "svm": sim._svm}[target](bundle.images(target))
    for lo, hi in (*WINDOWS, (0x2000, 0x2010), (0x40000000, 0x40000000), (0xC0012000, 0xC0012000)):
        for kind in ("rdmsr", "wrmsr"):
            for index, verdict in verdicts(policy, kind, 8, lo, hi, target):
                assert rules.msr(index, kind == "wrmsr") is verdict.exits, hex(index)
    for width in (1, 2, 4):
        for port, verdict in verdicts(policy, "in", width, 0, 0xFFFF, target):
            assert rules.port(port, width) is verdict.exits, hex(port)


# Guests that mean harm.

FLOOD = "mov edi, {first}\nagain:\nmov [edi], eax\nadd edi, 0x1000\ncmp edi, {last}\njb again\nhlt"


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("bits", [32, 64])
def test_a_guest_that_writes_into_every_page_hurts_itself_alone(name, bits) -> None:
    """Its own tables and code are among the pages; memory behind the last one is not there."""
    available(name)
    ran = run(name, code(FLOOD.format(first="0x100800", last=0x4000800), bits), bits, PLAIN, timeout=20)
    assert ran.how in ("halted", "crashed")
    assert run(name, code("hlt", bits), bits, PLAIN).how == "halted"


@pytest.mark.parametrize("name", BACKENDS)
def test_a_storm_of_exits_ends_in_time_and_is_counted(name) -> None:
    available(name)
    body = "mov edx, 0x60\nagain:\nin al, dx\nout dx, al\nmov ecx, 0x8b\nrdmsr\nmov edx, 0x60\njmp again"
    policy = PLAIN + "intercept io 0x60 -> drop\nintercept msr 0x8b -> drop\n"
    before = time.monotonic()
    ran = run(name, code(body, 32), 32, policy, watch=False, timeout=0.5)
    assert (ran.how, time.monotonic() - before < 5) == ("timeout", True)
    assert sum(count for _, count in ran.report.rules) == ran.report.exits > 1000


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("bits", MODES)
def test_random_bytes_are_a_guest_like_any_other(name, bits) -> None:
    """Whatever they do, the run ends with a report, soon."""
    available(name)
    policy = PLAIN + "intercept io 0..0xffff -> drop\nintercept msr 0..0x7ff -> inject(gp)\n"
    hows = set()
    for seed in range(25):
        image = random.Random(seed).randbytes(200)
        before = time.monotonic()
        ran = run(name, image, bits, policy, watch=False, timeout=0.2, max_exits=2000)
        hows.add(ran.how)
        assert time.monotonic() - before < 5, seed
    assert hows <= {"halted", "crashed", "timeout", "max-exits"}
    assert "crashed" in hows


@pytest.mark.parametrize("name", BACKENDS)
def test_a_guest_that_touches_ever_new_addresses_fills_no_memory(name, monkeypatch) -> None:
    available(name)
    monkeypatch.setattr(force, "MOST_SEEN", 500)
    policy = PLAIN + "intercept msr 0x40000000..0x40000fff -> drop\n"
    ran = run(name, code("mov ecx, 0x40000000\nagain:\nrdmsr\ninc ecx\njmp again", 32), 32, policy, max_exits=2000)
    assert (ran.how, len(ran.report.msrs), ran.report.unlisted) == ("max-exits", 500, 1500)
    assert sum(count for _, count in ran.report.rules) == 2000
    assert ran.report.let_through == 0


@pytest.mark.parametrize("name", BACKENDS)
def test_a_thousand_guests_leave_no_file_and_no_memory(name) -> None:
    available(name)
    _, bundle = compiled(PLAIN + "intercept io 0x60 -> count, drop\n")
    start = prepare(flat(code("in al, 0x60\nhlt", 16), 16), 1 << 20)

    def one() -> None:
        with closing(backends.make(name)) as backend:
            report = Session(backend, start, bundle, timeout=30 if name == "sim" else None).run()
            assert (report.ending.how, report.exits) == ("halted", 1)

    for _ in range(50):
        one()
    files, memory = len(os.listdir("/proc/self/fd")), _resident()
    for _ in range(1000):
        one()
    assert len(os.listdir("/proc/self/fd")) == files
    assert _resident() - memory < 16 << 20


def _resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.parametrize("name", BACKENDS)
def test_a_sweep_under_the_policy_of_the_manual_is_stopped_where_it_says_kill(name) -> None:
    available(name)
    policy = PLAIN + "intercept msr 0x1b write -> kill\nintercept msr 0x10 -> drop\n"
    ran = run(name, assembled("sweep", 32, "PORTS=0"), 32, policy)
    assert ran.how == "killed"
    assert [each.seen.address for each in ran.told.trapped()] == [0x10, 0x10, 0x1B]
