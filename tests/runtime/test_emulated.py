"""A guest under VT-x and SVM themselves, with the generated exit handler: the same report as on other backends."""

from __future__ import annotations

import io
import os
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from policyc.bundle.read import Bundle
from policyc.cli.frame import run
from policyc.database.names import load as names
from policyc.runtime import backend as backends
from policyc.runtime.auto import Auto, read_auto
from policyc.runtime.emulated import LARGEST_GUEST, OWN_PORTS, Emulated
from policyc.runtime.endings import Ending
from policyc.runtime.guest import elf, flat, prepare
from policyc.runtime.lines import Lines
from policyc.runtime.session import Exit, Observer, Report, Session
from policyc.verify import emulators
from policyc.verify.rom import HOW, compiler
from policyc.vocabulary.diagnostic import UnreadableError
from tests.demand import need
from tests.runtime.running import GUESTS as GUEST_FOLDER
from tests.runtime.running import ROOT, assemble, assembled, bundle, code, written

NAMES = ("bochs", "qemu-svm")
GUESTS = """\
language 1
target vmx, svm
default passthrough
import "std/serial.pol"
efer: intercept msr IA32_EFER write -> log, mask(and=0x501)
microcode: intercept msr 0x8b read -> const(0x1234)
misc: intercept msr 0x1a0 -> count, shadow(init=0x1)
apic: intercept msr 0x802..0x803 -> notify
deny msr 0x3a
uart: intercept io serial.COM1 -> forward(uart)
pit: intercept io 0x40 len 4 -> exit
cmos: intercept io 0x70 len 2 -> notify
keyboard: intercept io 0x60 in -> drop
pci: intercept io 0xcf8 len 8 -> exit
end: intercept io 0x604 len 2 -> exit
"""

TOUR = (GUEST_FOLDER / "tour.pol").read_text(encoding="utf-8")


def required(name: str) -> None:
    need("cc", compiler() is not None, HOW)
    if name == "bochs":
        need("bochs", shutil.which("bochs") is not None, "apt install bochs bochs-term")
    else:
        need("qemu", shutil.which("qemu-system-x86_64") is not None, "apt install qemu-system-x86")


def ran(name: str, made: Bundle, image: bytes, bits: int, wishes: Sequence[Auto] = ()) -> tuple[Report, str]:
    """The report, and what was printed of it."""
    stream = io.StringIO()
    lines = Lines(stream, names())
    options = {"bundle": made, "autos": wishes} if name in backends.EMULATED else {}
    with closing(backends.make(name, **options)) as backend:
        world = {"devices": backend.world} if isinstance(backend, Emulated) else {}
        session = Session(
            backend, prepare(flat(image, bits)), made, observer=lines, watch=True, autos=wishes, timeout=30, **world
        )
        report = session.run()
    lines.finished(report)
    return report, stream.getvalue()


def console(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("console: ")]


def counted(report: Report) -> dict[str, int]:
    return {title: count for title, count in report.rules if not title.startswith("default")}


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("name", NAMES)
def test_a_tour_of_devices_and_registers_is_reported_as_in_the_simulation(name: str, bits: int) -> None:
    required(name)
    made = bundle(TOUR)
    image = assembled("tour", bits)
    report, text = ran(name, made, image, bits)
    expected, _ = ran("sim", made, image, bits)
    assert report.ending == expected.ending
    assert (report.ending.how, report.ending.value) == ("ended", 0x2000)
    assert counted(report) == counted(expected)
    assert report.counters == expected.counters
    assert list(report.counters.values()) == [2]
    assert [each.address for each in report.msrs] == [each.address for each in expected.msrs]
    assert {0x803, 0x80F, 0x1A0, 0x8B} <= {each.address for each in report.msrs}
    assert "console: tour" in text
    assert "in 0xcfc" in text or "PCI" in text
    assert "= 0x1234  const" in text
    assert f"on {name}, images for {'vmx' if name == 'bochs' else 'svm'}" in text


def test_the_host_bridge_that_a_guest_reads_is_the_emulator_s() -> None:
    required("bochs")
    _, text = ran("bochs", bundle(TOUR), assembled("tour", 16), 16)
    assert "= 0x12378086  exit" in text, "Intel 82441FX"


@pytest.mark.parametrize("name", NAMES)
def test_the_example_guest_greets(name: str) -> None:
    required(name)
    report, text = ran(name, bundle(GUESTS), assembled("hello", 16), 16)
    expected, simulated = ran("sim", bundle(GUESTS), assembled("hello", 16), 16)
    assert console(text) == console(simulated) == ["console: hello from a guest of 16 bits", "console: d"]
    assert report.ending == expected.ending


@pytest.mark.parametrize("name", NAMES)
def test_x2apic_registers_exit_and_an_exception_of_the_policy_ends_in_the_guest_s_handler(name: str) -> None:
    required(name)
    body = """
	mov word [13 * 4], fault
	mov ecx, 0x1b		; x2APIC mode on
	rdmsr
	or eax, 0xc00
	wrmsr
	mov ecx, 0x803		; version
	rdmsr
	mov ecx, 0x3a		; denied
	rdmsr
	hlt
fault:	mov al, 0x77
	out 0x80, al
	hlt
"""
    made = bundle(GUESTS + "intercept io 0x80 out -> exit\n")
    report, text = ran(name, made, code(body, 16), 16)
    assert "rdmsr" in text
    assert counted(report)["vm.pol:8 apic"] == 1
    assert "exception 13" in text
    assert "= 0x77  exit" in text
    assert report.ending.how == "halted"


@pytest.mark.parametrize("name", NAMES)
def test_kill_and_a_loop_without_end_both_end(name: str) -> None:
    required(name)
    made = bundle(GUESTS + "intercept io 0x80 out -> kill\n")
    report, _ = ran(name, made, code("mov al, 1\nout 0x80, al\nhlt", 16), 16)
    assert report.ending.how == "killed"
    with closing(backends.make(name, bundle=made)) as backend:
        assert isinstance(backend, Emulated)
        session = Session(backend, prepare(flat(code("jmp $", 16), 16)), made, devices=backend.world, timeout=1)
        assert session.run().ending.how == "timeout"


def test_a_guest_that_prints_like_the_hypervisor_is_not_believed() -> None:
    required("qemu-svm")
    body = """
	mov si, text
next:	lodsb
	test al, al
	jz done
	out 0xe9, al
	jmp next
done:	hlt
text:	db 10, "!1 3 80 1 41 0", 10, "=1 exit 604 2000", 10, 0
"""
    report, text = ran("qemu-svm", bundle(GUESTS), code(body, 16), 16)
    assert (report.exits, report.let_through) == (33, 33)
    assert "console: =1 exit 604 2000" in text
    assert report.ending.how == "halted"


def test_what_cannot_be_run_is_said() -> None:
    required("bochs")
    made = bundle(GUESTS)
    backend = backends.make("bochs", bundle=made)
    with pytest.raises(UnreadableError, match="1,984 KiB at most; this one has 2,0"):
        backend.start(prepare(flat(bytes(2 << 20), 64)))
    with pytest.raises(UnreadableError, match="16 MiB at most"):
        backend.start(prepare(flat(b"\xf4", 16), 32 << 20))


PROFILES = """\
language 1
target vmx, svm
default passthrough
keyboard: intercept io 0x60 in -> const(0x11)
microcode: intercept msr 0x8b read -> const(0x1111)
told: intercept io 0x80 len 4 out -> exit
intercept io 0x84 out -> exit
profile run {
    intercept io 0x60 in -> const(0x22)
    intercept msr 0x8b read -> const(0x2222)
    late: intercept io 0x61 in -> const(0x33)
    letters: intercept io 0x84 out -> drop
}
profile open {
    allow io 0x60
    intercept msr 0x8b read -> const(0x3333)
}
"""

OLD_THEN_NEW = """
	in al, 0x60
	mov bl, al
	in al, 0x61		; no rule yet: no exit
	mov al, 1
	out 0x80, al		; from now on: run
	in al, 0x61
	mov bh, al
	shl ebx, 16
	in al, 0x60
	mov bl, al
	mov ecx, 0x8b
	rdmsr
	add al, bl
	mov bl, al
	mov eax, ebx
	out 0x80, eax		; 0x33 and 0x11, 0x22 + 0x22
	mov ecx, 0x1b
	rdmsr
	mov eax, 0x12345678
	out 0x80, eax		; from now on: open
	in al, 0x60		; passed, and not seen
	mov ecx, 0x8b
	rdmsr
	out 0x80, eax
	hlt
"""


def autos(*texts: str) -> list[Auto]:
    return [read_auto(each, names()) for each in texts]


def written_to_0x80(text: str) -> list[str]:
    return [line.split("= ")[1].split()[0] for line in text.splitlines() if "out 0x80 width" in line and "= " in line]


@pytest.mark.parametrize(("name", "target"), [("bochs", "vmx"), ("bochs", "svm"), ("qemu-svm", "svm")])
def test_a_guest_sees_the_old_profile_then_the_new_one_from_the_access_on_that_asked_for_it(
    name: str, target: str
) -> None:
    required(name)
    made = bundle(PROFILES.replace("target vmx, svm", f"target {target}"))
    image, wishes = code(OLD_THEN_NEW, 32), autos("out 0x80 value 1=run", "out 0x80..0x83 value 0x12345678=open")
    report, text = ran(name, made, image, 32, wishes)
    expected, simulated = ran("sim", made, image, 32, wishes)
    assert written_to_0x80(text) == written_to_0x80(simulated) == ["0x1", "0x33110044", "0x12345678", "0x3333"]
    assert [(each.profile, each.cause, each.by_exit) for each in report.switches] == [
        ("run", "out 0x80 value 1", 2), ("open", "out 0x80..0x83 value 0x12345678", 7),
    ]  # fmt: skip
    assert counted(report) == counted(expected)
    assert report.ending == expected.ending


@pytest.mark.parametrize("name", NAMES)
def test_a_string_that_is_under_way_meets_the_new_profile_at_its_next_element(name: str) -> None:
    required(name)
    body = "cld\nmov esi, text\nmov ecx, 3\nmov dx, 0x84\nrep outsb\nhlt\ntext: db 'abc'\n"
    wishes = autos("out 0x84 value 0x62=run")
    report, _ = ran(name, bundle(PROFILES), code(body, 32), 32, wishes)
    expected, _ = ran("sim", bundle(PROFILES), code(body, 32), 32, wishes)
    assert counted(report) == counted(expected)
    assert dict(report.rules)["vm.pol:7"] == 2
    assert dict(report.rules)["vm.pol:12 letters"] == 1


TAKES_THE_MACHINE = """
	cld
	mov al, 0xfe		; reset, by the keyboard controller
	out 0x64, al
	mov al, 0xd1		; and its output port
	out 0x64, al
	mov al, 0
	out 0x60, al
	mov al, 1		; by port A
	out 0x92, al
	mov al, 6		; by the chipset
	mov dx, 0xcf9
	out dx, al
	mov esi, word_		; Bochs' way to end
	mov ecx, 8
	mov dx, 0x8900
	rep outsb
	mov ecx, 0xc0000080	; EFER
	rdmsr
	wrmsr
	mov esi, text
	mov ecx, 6
	mov dx, 0x3f8
	rep outsb
	mov al, 'e'
	out 0xe9, al
	mov dx, 0x604
	mov ax, 0x2000
	out dx, ax
	hlt
word_:	db "Shutdown"
text:	db "alive", 10
"""


@pytest.mark.parametrize("name", NAMES)
def test_a_guest_cannot_take_the_machine_from_under_the_hypervisor_whatever_the_policy_lets_through(name: str) -> None:
    required(name)
    made = bundle("language 1\ntarget vmx, svm\ndefault passthrough\nintercept io 0x300\n")
    report, text = ran(name, made, code(TAKES_THE_MACHINE, 32), 32)
    assert (report.ending.how, report.ending.value) == ("ended", 0x2000)
    assert console(text) == ["console: alive", "console: e"]
    assert (report.exits, report.let_through, report.rules, report.msrs) == (20, 20, (), ())
    assert "20 of them port accesses that the image lets through, and that exit here all the same" in text
    assert "not seen: accesses that no rule traps, as they do not exit; only ports 0x64, 0x92, 0xe9" in text


class StopsAtFirst(Observer):
    def started(self, session: Session) -> None:
        self.session = session

    def exit(self, exit_: Exit) -> None:
        self.session.stop(Ending("timeout", "seen while the guest runs"))


@pytest.mark.parametrize("name", NAMES)
def test_an_exit_is_told_while_the_guest_still_runs(name: str) -> None:
    required(name)
    with closing(backends.make(name, bundle=bundle(GUESTS))) as backend:
        assert isinstance(backend, Emulated)
        start = prepare(flat(code("mov al, 0x36\nout 0x43, al\njmp $", 16), 16))
        session = Session(
            backend, start, bundle(GUESTS), observer=StopsAtFirst(), watch=True, devices=backend.world, timeout=60
        )
        assert session.run().ending.text == "seen while the guest runs"


def test_exits_can_be_counted_out() -> None:
    required("qemu-svm")
    with closing(backends.make("qemu-svm", bundle=bundle(GUESTS))) as backend:
        assert isinstance(backend, Emulated)
        start = prepare(flat(code("again: out 0x43, al\njmp again", 16), 16))
        session = Session(backend, start, bundle(GUESTS), devices=backend.world, max_exits=7, timeout=60)
        report = session.run()
    assert (report.ending.how, report.exits) == ("max-exits", 7)


def test_a_run_that_is_over_before_its_emulator_runs_ends_all_the_same() -> None:
    required("qemu-svm")
    with closing(backends.make("qemu-svm", bundle=bundle(GUESTS))) as backend:
        assert isinstance(backend, Emulated)
        start = prepare(flat(code("jmp $", 16), 16))
        session = Session(backend, start, bundle(GUESTS), devices=backend.world, timeout=60)
        session.stop(Ending("timeout", "before it began"))
        assert session.run().ending.text == "before it began"


def test_the_emulator_is_gone_when_its_user_is_killed(tmp_path: Path) -> None:
    required("qemu-svm")
    guest = tmp_path / "guest.bin"
    guest.write_bytes(code("out 0x43, al\njmp $", 16))
    place = written(GUESTS, tmp_path)
    words = [sys.executable, "-m", "policyc", "run", place, "--guest", str(guest), "--backend", "qemu-svm"]
    with subprocess.Popen([*words, "--format", "json"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        assert "start" in user.stdout.readline()
        emulator = waited(lambda: children(user.pid))[0]
        user.kill()
    assert waited(lambda: gone(emulator))


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    """Whether a process has ended; who inherited it need not have asked for its status yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def waited(until: Callable[[], Any]) -> Any:
    """What ``until`` gives as soon as it is true; a minute is patience for a loaded machine, not a promise."""
    end = time.monotonic() + 60
    while not (found := until()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def test_rules_change_by_auto_alone() -> None:
    required("qemu-svm")
    with closing(backends.make("qemu-svm", bundle=bundle(PROFILES))) as backend:
        assert isinstance(backend, Emulated)
        session = Session(backend, prepare(flat(b"\xf4", 16)), bundle(PROFILES), devices=backend.world)
        with pytest.raises(UnreadableError, match="by --auto alone"):
            session.switch("run")


@pytest.mark.parametrize("name", NAMES)
def test_a_guest_may_be_nearly_two_mib(name: str) -> None:
    required(name)
    size = LARGEST_GUEST - 0x8000
    body = f"mov eax, [{0x100000 + size - 4:#x}]\nout 0x80, eax\nhlt\n"
    image = code(body, 32).ljust(size - 4, b"\x90") + b"\x78\x56\x34\x12"
    report, text = ran(name, bundle(PROFILES), image, 32)
    assert written_to_0x80(text) == ["0x12345678"]
    assert report.ending.how == "halted"


@pytest.mark.parametrize("model", emulators.INTEL_MODELS)
def test_a_guest_runs_on_every_model(model: str) -> None:
    required("bochs")
    with closing(backends.make("bochs", bundle=bundle(TOUR), model=model)) as backend:
        assert isinstance(backend, Emulated)
        start = prepare(flat(assembled("tour", 16), 16))
        session = Session(backend, start, bundle(TOUR), devices=backend.world, timeout=60)
        report = session.run()
    assert (report.ending.how, report.ending.value) == ("ended", 0x2000)


def test_what_the_hypervisor_keeps_to_itself_is_what_the_report_says() -> None:
    source = (ROOT / "runtime/reference/world.c").read_text()
    numbers = {name: int(value, 16) for name, value in re.findall(r"^#define (\w+) 0x([0-9a-f]+)u", source, re.M)}
    rows = re.findall(r"^\t\{(\w+), (\w+)\},$", source, re.M)
    assert tuple((numbers[first], numbers[last]) for first, last in rows) == OWN_PORTS


OWN_PAGES = """\
language 1
target vmx, svm
default passthrough
told: intercept io 0x80 len 4 out -> exit
letters: intercept io 0x84 out -> exit
keyboard: intercept io 0x60 in -> const(0x11)
bases: intercept msr 0xc0000100 -> exit
efer: intercept msr IA32_EFER -> exit
"""

PAGING = """
	sidt [table]			; a gate for page faults
	mov rbx, [table + 2]
	mov rax, fault
	mov [rbx + 14 * 16], ax
	shr rax, 16
	mov [rbx + 14 * 16 + 6], ax
	mov rbx, cr3			; PML4, PDPT, directory
	mov rbx, [rbx]
	and rbx, -0x1000
	mov rbx, [rbx]
	and rbx, -0x1000
	mov qword [rbx + 5 * 8], 0x400083	; 0xa00000 is 0x400000 as well
	mov qword [rbx + 6 * 8], 0		; 0xc00000 is nothing
	mov rax, cr3
	mov cr3, rax
	mov word [0x400000], "xy"
	mov esi, 0xa00000
	mov ecx, 2
	mov edx, 0x84
	cld
	rep outsb
	mov edi, 0xa00010
	mov edx, 0x60
	insb
	movzx eax, byte [0x400010]
	out 0x80, eax
	mov ecx, 0xc0000100
	mov eax, 0x400000
	xor edx, edx
	wrmsr
	movzx eax, byte [fs:1]
	out 0x80, eax
	mov ecx, 0xc0000080
	rdmsr
	or eax, 0x801
	wrmsr
	rdmsr
	out 0x80, eax
	mov rsp, 0x80000
	mov esi, 0xc00000
	mov edx, 0x84
	outsb				; a page fault
	hlt
fault:	pop rax				; not present, read
	or eax, 0x100
	out 0x80, eax
	mov rax, cr2
	out 0x80, eax
	hlt
table:	dq 0, 0
"""


@pytest.mark.parametrize(("name", "target"), [("bochs", "vmx"), ("bochs", "svm"), ("qemu-svm", "svm")])
def test_a_guest_of_64_bits_has_pages_and_segment_bases_and_faults_of_its_own(name: str, target: str) -> None:
    required(name)
    made = bundle(OWN_PAGES.replace("target vmx, svm", f"target {target}"))
    report, text = ran(name, made, code(PAGING, 64), 64)
    assert written_to_0x80(text) == ["0x11", "0x79", "0xd01", "0x100", "0xc00000"]
    assert [line.split("= ")[1].split()[0] for line in text.splitlines() if "out 0x84 width 1" in line and "=" in line] == [
        "0x78", "0x79",
    ]  # fmt: skip
    assert report.ending.how == "halted"


OUTS_OF_EACH_SEGMENT = """
	cld
	mov dx, 0x80
	mov byte [0x2000], 'd'
	mov ax, 0x300
	mov es, ax
	mov byte [es:0x2000], 'e'
	mov ax, 0x400
	mov fs, ax
	mov byte [fs:0x2000], 'f'
	mov ax, 0x500
	mov gs, ax
	mov byte [gs:0x2000], 'g'
	mov si, 0x2000
	mov cx, 1
	rep outsb
	mov si, 0x2000
	es outsb
	mov esi, 0x2000
	db 0x65, 0x64, 0x67, 0x6e		; the last override counts
	mov si, 0x2000
	gs outsb
	hlt
"""


@pytest.mark.parametrize(("name", "target"), [("bochs", "vmx"), ("bochs", "svm"), ("qemu-svm", "svm")])
def test_outs_reads_the_segment_that_it_names_also_where_the_processor_does_not_tell(name: str, target: str) -> None:
    required(name)
    made = bundle(OWN_PAGES.replace("target vmx, svm", f"target {target}"))
    _, text = ran(name, made, code(OUTS_OF_EACH_SEGMENT, 16), 16)
    assert written_to_0x80(text) == [hex(ord(each)) for each in "defg"]


def test_a_control_socket_is_refused_where_nothing_can_reach_the_guest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = written(PROFILES, tmp_path)
    (tmp_path / "guest.bin").write_bytes(b"\xf4")
    words = ["run", place, "--guest", str(tmp_path / "guest.bin"), "--backend", "bochs", "--control", "vm.sock"]
    assert run(words) == 2
    assert "the rules of its guests change by --auto alone" in capsys.readouterr().err


FROM_REAL_TO_LONG_MODE = """
	mov ax, 0x2000			; PML4, PDPT, a page of 2 MiB
	mov es, ax
	mov dword [es:0], 0x21003
	mov dword [es:0x1000], 0x22003
	mov dword [es:0x2000], 0x83
	mov eax, cr4
	or eax, 0x20
	mov cr4, eax
	mov eax, 0x20000
	mov cr3, eax
	mov ecx, 0xc0000080
	rdmsr
	or eax, 0x100
	wrmsr
	mov eax, cr0
	or eax, 0x80000001
	mov cr0, eax
	lgdt [pointer]
	jmp 8:arrived
bits 64
arrived: mov rax, 0x123456789
	shr rax, 4
	out 0x80, eax
	mov ecx, 0xc0000080
	rdmsr
	out 0x80, eax
	hlt
table:	dq 0, 0x00af9b000000ffff
pointer: dw 15
	dd table
"""


@pytest.mark.parametrize("efer", ["intercept msr IA32_EFER -> exit", "allow msr IA32_EFER"])
def test_on_vt_x_a_guest_goes_from_real_mode_to_64_bits_whether_its_efer_exits_or_not(efer: str) -> None:
    required("bochs")
    made = bundle(OWN_PAGES.replace("efer: intercept msr IA32_EFER -> exit", efer))
    _, text = ran("bochs", made, code(FROM_REAL_TO_LONG_MODE, 16), 16)
    assert written_to_0x80(text) == ["0x12345678", "0x500"]


def executable(image: bytes, address: int) -> bytes:
    """An ELF file of one segment, which is entered at its first byte."""
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, address, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 7, 120, address, address, len(image), len(image), 1) + image


@pytest.mark.parametrize("name", NAMES)
def test_an_executable_of_64_bits_runs_at_its_address(name: str) -> None:
    required(name)
    body = "bits 64\norg 0x345000\nlea rax, [rel $]\nmov edx, 0x80\nout dx, eax\nhlt\n"
    start = prepare(elf(executable(assemble(body, 64), 0x345000), None))
    seen: list[int] = []
    with closing(backends.make(name, bundle=bundle(OWN_PAGES))) as backend:
        assert isinstance(backend, Emulated)
        observer = Observer()
        observer.exit = lambda each: seen.append(each.value)  # type: ignore[method-assign]
        session = Session(backend, start, bundle(OWN_PAGES), observer=observer, watch=True, devices=backend.world)
        assert session.run().ending.how == "halted"
    assert seen == [0x345000]


def emulators_of(folder: Path) -> set[int]:
    """Processes of Bochs and QEMU whose files are below this folder."""
    found = set()
    for each in Path("/proc").iterdir():
        with suppress(OSError):
            words = (each / "cmdline").read_text(errors="replace").split("\0") if each.name.isdigit() else [""]
            if words[0] in ("bochs-bin", "qemu-system-x86_64") and f"{folder}/policyc-" in " ".join(words):
                found.add(int(each.name))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_is_asked_to_end_reports_and_leaves_nothing_behind(name, tmp_path) -> None:
    required(name)
    (tmp_path / "g.bin").write_bytes(code("again:\nin al, 0x60\njmp again", 16))
    words = [
        "run",
        written("language 1\ntarget vmx, svm\nintercept io 0x60\n", tmp_path),
        "--guest",
        str(tmp_path / "g.bin"),
    ]
    run = subprocess.Popen(
        [sys.executable, "-m", "policyc", *words, "--backend", name, "--timeout", "60", "--show", "summary"],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert waited(lambda: emulators_of(tmp_path))
    run.terminate()
    out, _ = run.communicate(timeout=20)
    assert run.returncode == 130
    assert "interrupted: asked to by a signal" in out
    assert not emulators_of(tmp_path)
    assert not list(tmp_path.glob("policyc-*"))
