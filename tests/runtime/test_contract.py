"""What every backend keeps, said once and asked of each: the real one, the simulation, and any that is added."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing

import pytest

from policyc.runtime import backend as backends
from policyc.runtime.auto import Auto
from policyc.runtime.backend import Exits
from policyc.runtime.endings import ENDED, Ending
from policyc.runtime.guest import flat, prepare
from policyc.runtime.session import Session
from policyc.vocabulary.diagnostic import UnreadableError
from tests.runtime.forms import DATA, FORMS, guest16
from tests.runtime.running import BACKENDS, GUESTS, MODES, Recorder, assembled, available, bundle, code, run

HELLO = (GUESTS / "hello.pol").read_text()
PLAIN = "language 1\ntarget vmx, svm, kvm\ndefault passthrough\n"


@pytest.fixture(params=BACKENDS)
def name(request):
    available(request.param)
    return request.param


@pytest.mark.parametrize("bits", MODES)
def test_the_guest_greets_and_each_watched_access_is_carried_out(name, bits) -> None:
    ran = run(name, assembled("hello", bits), bits, HELLO)
    assert (ran.how, ran.report.ending.value) == ("ended", 0)
    assert ran.told.output == f"hello from a guest of {bits} bits\nd\n".encode()
    told = {(each.seen.kind, each.seen.address): each for each in ran.told.trapped()}
    assert told["rdmsr", 0x8B].answer == 0x1234
    assert told["rdmsr", 0x1A0].answer == 0x42
    assert told["in", 0x60].answer == 0xFF
    assert told["wrmsr", 0xC0000080].action == "mask"
    assert [each.address for each in ran.told.traces] == [0xCF8]
    assert [access.address for access, _ in ran.told.logs] == [0xC0000080]
    assert dict(ran.report.rules)["vm.pol:16 uart"] == len("hello from a guest of 16 bits\n")
    assert sum(ran.report.counters.values()) == 2


@pytest.mark.parametrize("bits", MODES)
def test_an_answer_reaches_the_register_and_the_rest_of_it_stays(name, bits) -> None:
    policy = PLAIN + "".join(
        f"intercept io 0x60 len 4 in width {width} -> const({0x12345678 & (1 << 8 * width) - 1:#x})\n"
        for width in (1, 2, 4)
    )
    body = "mov eax, 0xaabbccdd\nin al, 0x60\nmov ebx, eax\nin ax, 0x60\nmov ecx, eax\nin eax, 0x60\nhlt"
    ran = run(name, code(body, bits), bits, policy)
    regs = ran.registers
    assert [regs[each] & 0xFFFFFFFF for each in ("rbx", "rcx", "rax")] == [0xAABBCC78, 0xAABB5678, 0x12345678]
    assert ran.how == "halted"


@pytest.mark.parametrize("bits", MODES)
def test_what_is_not_trapped_is_not_decided(name, bits) -> None:
    policy = PLAIN + "intercept io 0x70 -> kill\nintercept msr 0x10 write -> kill\n"
    ran = run(name, code("in al, 0x71\nin al, 0x6f\nmov ecx, 0x10\nrdmsr\nhlt", bits), bits, policy)
    assert (ran.how, ran.told.trapped()) == ("halted", [])
    assert run(name, code("in ax, 0x6f\nhlt", bits), bits, policy).how == "killed"
    assert run(name, code("mov ecx, 0x10\nwrmsr\nhlt", bits), bits, policy).how == "killed"


@pytest.mark.parametrize("bits", MODES)
@pytest.mark.parametrize(("action", "vector"), [("inject(gp)", 13), ("inject(ud)", 6), ("inject(np)", 11)])
@pytest.mark.parametrize(
    "access", ["mov ecx, 0x8b\nrdmsr", "mov ecx, 0x8b\nwrmsr", "in eax, 0x60", "out 0x60, al", "mov dx, 0x60\nout dx, ax"]
)  # fmt: skip
def test_an_injected_exception_arrives_at_the_instruction(name, bits, action, vector, access) -> None:
    """The handler that the firmware's tables name halts; the pushed RIP is that of the access, no register changed."""
    policy = PLAIN + f"intercept msr 0x8b -> {action}\nintercept io 0x60 len 4 -> {action}\n"
    body = f"mov eax, 0x11111111\nmov edx, 0x22222222\n{access}\nhlt"
    image = code(body, bits)
    ran = run(name, image, bits, policy)
    assert (ran.how, f"interrupt {vector} " in ran.report.ending.text) == ("crashed", True)
    assert ran.registers["rax"] & 0xFFFFFFFF == 0x11111111
    last = access.splitlines()[-1]
    length = len(code(last, bits))
    origin = 0x1000 if bits == 16 else 0x100000
    assert _pushed_rip(name, image, bits, policy, vector) == origin + len(image) - 1 - length


def _pushed_rip(name, image, bits, policy, vector) -> int:
    guest = prepare(flat(image, bits))
    with closing(backends.make(name)) as backend:
        Session(backend, guest, bundle(policy), timeout=30).run()
        size = {16: 2, 32: 4, 64: 8}[bits]
        at = backend.registers()["rsp"] + (size if bits != 16 and vector in (11, 13) else 0)
        with backend.memory() as ram:
            return int.from_bytes(ram[at : at + size], "little")


@pytest.mark.parametrize("form", FORMS)
def test_a_port_that_faults_leaves_ip_registers_and_memory_as_they_were(name, form) -> None:
    text, al, count = FORMS[form]
    image = code(guest16(text), 16)
    ran = run(name, image, 16, PLAIN + "intercept io 0x10 -> inject(gp)\n")
    assert ran.how == "halted"
    ip, ax, cx, si, di, flags = memoryview(ran.memory[0x800:0x80C]).cast("H")
    place = int.from_bytes(ran.memory[0x810:0x812], "little")
    assert (ip, ax & 0xFF, cx) == (place, al, count)
    assert (si, di) == (0x1000 + len(image) - DATA, 0x900)
    assert flags >> 10 & 1 == ("down" in form)
    assert not any(ran.memory[0x8F0:0x910])
    assert [each.fault for each in ran.told.exits if each.seen.address == 0x10] == [13]


def test_a_string_faults_at_the_element_that_the_policy_means(name) -> None:
    policy = PLAIN + "intercept io 0x10 out when value == 3 -> inject(gp)\n"
    image = code(guest16("mov cx, 9\n@: rep outsb\n"), 16)
    ran = run(name, image, 16, policy)
    ip, _, cx, si, _, _ = memoryview(ran.memory[0x800:0x80C]).cast("H")
    assert (ip, cx) == (int.from_bytes(ran.memory[0x810:0x812], "little"), 7)
    assert si == 0x1000 + len(image) - DATA + 2


@pytest.mark.parametrize("bits", MODES)
def test_string_instructions_are_decided_element_by_element(name, bits) -> None:
    index = {16: "di", 32: "edi", 64: "rdi"}[bits]
    source, count = index.replace("d", "s", 1), index.replace("di", "cx")
    policy = PLAIN + "intercept io 0x60 len 2 in -> const(0x41)\n"
    policy += "intercept io 0x80 len 4 out -> drop\n"
    body = (
        f"cld\nmov {index}, 0x600\nmov {count}, 3\nmov dx, 0x60\nrep insb\n"
        f"mov {source}, 0x600\nmov {count}, 2\nmov dx, 0x80\nrep outsw\nhlt"
    )
    ran = run(name, code(body, bits), bits, policy)
    told = [(each.seen.kind, each.seen.width, each.value) for each in ran.told.trapped()]
    assert told == [("in", 1, 0)] * 3 + [("out", 2, 0x4141), ("out", 2, 0x0041)]
    assert ran.memory[0x600:0x604] == b"AAA\0"
    assert ran.registers["rcx"] & 0xFFFF == 0
    assert (ran.registers["rdi"], ran.registers["rsi"]) == (0x603, 0x604)


def test_a_run_ends_after_the_exits_it_is_allowed(name) -> None:
    ran = run(name, code("again:\nin al, 0x60\njmp again", 16), 16, PLAIN + "intercept io 0x60\n", max_exits=100)
    assert (ran.how, ran.report.exits, len(ran.told.exits)) == ("max-exits", 100, 100)


@pytest.mark.parametrize("body", ["again: jmp again", "again:\nin al, 0x60\njmp again"])
def test_an_endless_guest_ends_in_time(name, body) -> None:
    before = time.monotonic()
    ran = run(name, code(body, 32), 32, PLAIN + "intercept io 0x60\n", timeout=0.3)
    assert (ran.how, ran.told.exits == []) == ("timeout", "in al" not in body)
    assert 0.3 <= time.monotonic() - before < 5


@pytest.mark.parametrize("bits", [32, 64])
def test_a_triple_fault_is_a_crash_and_says_so(name, bits) -> None:
    ran = run(name, code("lidt [none]\nud2\nnone: dw 0\ndq 0", bits), bits, PLAIN)
    assert (ran.how, ran.report.ending.text[:12]) == ("crashed", "triple fault")


def spinning(name, policy: str, body: str, changes, **options):
    """Run a guest that spins, and meanwhile, from another thread, ``changes(session)``; then stop it."""
    told = Recorder()
    with closing(backends.make(name)) as backend:
        start = prepare(flat(code(body, 32), 32))
        session = Session(backend, start, bundle(policy), observer=told, timeout=60, **options)

        def change() -> None:
            try:
                changes(session)
            finally:
                session.stop(Ending(ENDED, "the changes are made"))

        thread = threading.Timer(0.1, change)
        thread.start()
        report = session.run()
        thread.join()
    return report, told


def test_a_profile_is_switched_while_the_guest_spins(name) -> None:
    policy = PLAIN + "intercept msr 0x8b read -> const(1)\nprofile late {\n    intercept msr 0x8b read -> const(2)\n}\n"

    def change(session) -> None:
        session.switch("late")
        time.sleep(0.1)

    report, told = spinning(name, policy, "again:\nmov ecx, 0x8b\nrdmsr\njmp again", change, watch=True)
    answers = [each.answer for each in told.exits]
    assert answers == sorted(answers)
    assert set(answers) == {1, 2}
    assert [each.profile for each in report.switches] == ["late"]
    assert 0 < report.switches[0].latency < 5


def test_what_both_profiles_trap_exits_throughout_many_switches(name) -> None:
    """The guest leaves its loop only when one read of the watched MSR was not answered by the policy."""
    policy = PLAIN + (
        "intercept msr 0x8b read -> const(0x77)\nintercept msr 0x10 read\n"
        "profile a {\n    intercept msr 0x174..0x176\n}\nprofile b {\n    allow msr 0x10 read\n}\n"
    )

    def change(session) -> None:
        for turn in range(60):
            session.switch(("a", "b", None)[turn % 3])
            time.sleep(0.002)

    report, _ = spinning(name, policy, "again:\nmov ecx, 0x8b\nrdmsr\ncmp eax, 0x77\nje again\nhlt", change)
    assert (report.ending.text, len(report.switches)) == ("the changes are made", 60)
    assert report.exits > 60


def test_an_auto_rule_switches_after_the_access_it_names(name) -> None:
    policy = PLAIN + (
        "intercept io 0x80 len 2 in -> const(1)\n"
        "intercept msr 0x8b write -> drop\nprofile run {\n    intercept io 0x80 len 2 in -> const(2)\n}\n"
    )
    body = "in al, 0x80\nmov bl, al\nmov ecx, 0x8b\nwrmsr\nin al, 0x80\nmov bh, al\nhlt"
    auto = Auto("wrmsr 0x8b", "wrmsr", ((0x8B, 0x8B),), None, "run")
    ran = run(name, code(body, 16), 16, policy, autos=[auto])
    assert ran.registers["rbx"] & 0xFFFF == 0x0201
    assert [(each.cause, each.profile) for each in ran.report.switches] == [("wrmsr 0x8b", "run")]


def test_refused_images_change_nothing(name) -> None:
    spin = code("in al, 0x60\nhlt", 16)
    found = bundle(PLAIN + "intercept io 0x60 in -> const(5)\n")
    with closing(backends.make(name)) as backend:
        session = Session(backend, prepare(flat(spin, 16)), found, timeout=5)
        with pytest.raises(UnreadableError, match="lacks profile 'nowhere'"):
            session.switch("nowhere")
        target = session.force.target
        with pytest.raises(UnreadableError):
            backend.install(target, dict.fromkeys(session.force.images, b"\xff" * 7))
        assert session.run().ending.how == "halted"
        assert backend.registers()["rax"] & 0xFF == 5


def test_msrs_are_reached_past_the_filter(name) -> None:
    policy = PLAIN + "intercept msr 0xc0000081 -> passthrough\n"
    body = "mov ecx, 0xc0000081\nmov eax, 0x1234\nmov edx, 0x5678\nwrmsr\nxor eax, eax\nxor edx, edx\nrdmsr\nhlt"
    ran = run(name, code(body, 64), 64, policy)
    assert (ran.registers["rax"], ran.registers["rdx"]) == (0x1234, 0x5678)
    assert [each.action for each in ran.told.trapped()] == ["passthrough"] * 2


def test_an_msr_that_is_not_there_faults(name) -> None:
    ran = run(name, code("mov ecx, 0x1fff\nrdmsr\nhlt", 16), 16, PLAIN + "intercept msr 0x1fff -> passthrough\n")
    assert "interrupt 13 " in ran.report.ending.text
    assert [each.fault for each in ran.told.trapped()] == [13]


def test_privilege_levels_reach_the_conditions(name) -> None:
    ran = run(name, code("in al, 0x60\nhlt", 16), 16, PLAIN + "intercept io 0x60 when cpl == 0 -> kill\n")
    assert ran.how == "killed"


def test_closing_twice_and_closing_unused_is_fine(name) -> None:
    before = len(os.listdir("/proc/self/fd"))
    backend = backends.make(name)
    backend.close()
    backend.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_report_says_whether_it_is_a_simulation(name) -> None:
    with closing(backends.make(name)) as backend:
        assert backend.simulated is (name == "sim")
        assert backend.name == name


def test_a_third_partys_backend_is_one_class() -> None:
    with closing(backends.make("tests.runtime.test_contract:Silent")) as backend:
        session = Session(backend, prepare(flat(b"\xf4", 16)), bundle(PLAIN + "intercept io 0x60\n"))
        assert session.run().ending.text == "the guest halted"
    with pytest.raises(UnreadableError, match=r"kvm, sim, .*or package"):
        backends.make("xen")
    with pytest.raises(UnreadableError, match="cannot be imported"):
        backends.make("nowhere.at_all:Backend")


class Silent:
    """The least there is: it makes one exit and halts."""

    name = "silent"
    simulated = True
    targets = ("vmx",)
    always_exits = ()

    def start(self, start) -> None: ...
    def install(self, target, images) -> None: ...

    def run(self, exits: Exits, ports):
        from policyc.runtime.endings import HALTED, Ending, Stop

        assert exits.port(0x60, 1, False, 0) == 0xFF
        raise Stop(Ending(HALTED, "the guest halted"))

    def interrupt(self) -> None: ...
    def notes(self) -> tuple[str, ...]:
        return ()

    def cpl(self) -> int:
        return 0

    def close(self) -> None: ...
