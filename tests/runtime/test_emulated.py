"""A guest under VT-x and SVM themselves, with the generated exit handler: the same report as on other backends."""

from __future__ import annotations

import io
import shutil
from contextlib import closing

import pytest

from policyc.bundle.read import Bundle
from policyc.database.names import load as names
from policyc.runtime import backend as backends
from policyc.runtime.emulated import Emulated
from policyc.runtime.guest import flat, prepare
from policyc.runtime.lines import Lines
from policyc.runtime.session import Report, Session
from policyc.verify.rom import HOW, compiler
from policyc.vocabulary.diagnostic import UnreadableError
from tests.demand import need
from tests.runtime.running import assembled, bundle, code

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

TOUR = """
	cld
	mov al, 0x36		; PIT: channel 0, both bytes, square wave
	out 0x43, al
	mov al, 0x34
	out 0x40, al
	mov al, 0x12
	out 0x40, al
	mov al, 0x0f		; CMOS: shutdown status
	out 0x70, al
	in al, 0x71
	mov dx, 0xcf8		; PCI: vendor and device of the host bridge
	mov eax, 0x80000000
	out dx, eax
	mov dx, 0xcfc
	in eax, dx
	mov [0x3000], eax
	mov ecx, 0x8b		; constant
	rdmsr
	mov ecx, 0x1a0		; shadow
	mov eax, 0x42
	xor edx, edx
	wrmsr
	rdmsr
	mov al, 1		; a queue of 16 bytes
	mov dx, 0x3fa
	out dx, al
	mov esi, text		; OUTS with REP to the serial port
	mov ecx, 5
	mov dx, 0x3f8
	rep outsb
	mov edi, 0x2000		; INS
	mov ecx, 2
	mov dx, 0x60
	rep insb
	mov dx, 0x604		; power off
	mov ax, 0x2000
	out dx, ax
	hlt
text:	db "tour", 10
"""


def required(name: str) -> None:
    need("cc", compiler() is not None, HOW)
    if name == "bochs":
        need("bochs", shutil.which("bochs") is not None, "apt install bochs bochs-term")
    else:
        need("qemu", shutil.which("qemu-system-x86_64") is not None, "apt install qemu-system-x86")


def ran(name: str, made: Bundle, image: bytes, bits: int) -> tuple[Report, str]:
    """The report, and what was printed of it."""
    stream = io.StringIO()
    lines = Lines(stream, names())
    options = {"bundle": made, "timeout": 30} if name in backends.EMULATED else {}
    with closing(backends.make(name, **options)) as backend:
        world = {"devices": backend.world} if isinstance(backend, Emulated) else {}
        session = Session(backend, prepare(flat(image, bits)), made, observer=lines, watch=True, **world)
        report = session.run()
    lines.finished(report)
    return report, stream.getvalue()


def counted(report: Report) -> dict[str, int]:
    return {title: count for title, count in report.rules if not title.startswith("default")}


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("name", NAMES)
def test_a_tour_of_devices_and_registers_is_reported_as_in_the_simulation(name: str, bits: int) -> None:
    required(name)
    made = bundle(GUESTS)
    image = code(TOUR, bits)
    report, text = ran(name, made, image, bits)
    expected, _ = ran("sim", made, image, bits)
    assert report.ending == expected.ending
    assert (report.ending.how, report.ending.value) == ("ended", 0x2000)
    assert counted(report) == counted(expected)
    assert report.counters == expected.counters == {"vm.pol:7 misc": 2}
    assert "console: tour" in text
    assert "in 0xcfc" in text or "PCI" in text
    assert "= 0x1234  const" in text
    assert f"on {name}, images for {'vmx' if name == 'bochs' else 'svm'}" in text


def test_the_host_bridge_that_a_guest_reads_is_the_emulator_s() -> None:
    required("bochs")
    _, text = ran("bochs", bundle(GUESTS), code(TOUR, 16), 16)
    assert "= 0x12378086  exit" in text, "Intel 82441FX"


@pytest.mark.parametrize("name", NAMES)
def test_the_example_guest_greets(name: str) -> None:
    required(name)
    report, text = ran(name, bundle(GUESTS), assembled("hello", 16), 16)
    console = [line for line in text.splitlines() if line.startswith("console: ")]
    assert console == ["console: d", "console: hello from a guest of 16 bits"]
    assert report.ending.how in ("ended", "halted")


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
    with closing(backends.make(name, bundle=made, timeout=2)) as backend:
        assert isinstance(backend, Emulated)
        session = Session(backend, prepare(flat(code("jmp $", 16), 16)), made, devices=backend.world)
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
    assert report.exits == 0
    assert "console: =1 exit 604 2000" in text
    assert report.ending.how == "halted"


def test_what_cannot_be_run_is_said() -> None:
    required("bochs")
    made = bundle(GUESTS)
    backend = backends.make("bochs", bundle=made)
    with pytest.raises(UnreadableError, match="16 and 32 bits"):
        backend.start(prepare(flat(b"\xf4", 64)))
    with pytest.raises(UnreadableError, match="16 MiB at most"):
        backend.start(prepare(flat(b"\xf4", 16), 32 << 20))
