"""Guests from files: flat images and executables as tools make them, and files that only look like guests."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess

import pytest

from policyc.runtime.devices import Devices
from policyc.runtime.endings import Stop
from policyc.runtime.filter import read_filter
from policyc.runtime.guest import MEMORY, Guest, elf, flat, prepare, read_guest
from policyc.vocabulary.diagnostic import UnreadableError
from tests.demand import need
from tests.runtime.running import BACKENDS, available, run

PLAIN = "language 1\ntarget vmx, svm, kvm\ndefault passthrough\nintercept io 0xe9 out -> count, passthrough\n"
PROGRAM = """\
static const char text[] = "from C";
static unsigned zeroed[4];
void _start(void)
{
	const char *at;
	for (at = text; *at; at++)
		__asm__ volatile("outb %0, $0xe9" : : "a"(*at));
	__asm__ volatile("outb %0, $0xf4" : : "a"((unsigned char)(zeroed[0] + zeroed[3])));
	for (;;)
		;
}
"""


@pytest.fixture(params=[("-m64", 64), ("-m32", 32)], ids=["elf64", "elf32"])
def executable(request, tmp_path):
    """A static executable, and the bits of its code."""
    gcc = shutil.which("gcc")
    need("cc", gcc is not None, "apt-get install gcc gcc-multilib")
    flag, bits = request.param
    source, out = tmp_path / "guest.c", tmp_path / "guest.elf"
    source.write_text(PROGRAM)
    flags = [
        "-O1",
        "-ffreestanding",
        "-fno-pic",
        "-fno-stack-protector",
        "-mno-sse",
        "-mgeneral-regs-only",
        "-nostdlib",
    ]
    flags += ["-fcf-protection=none", "-static", "-no-pie", "-Wl,--build-id=none,-Ttext-segment=0x200000"]
    subprocess.run([gcc, flag, *flags, source, "-o", out], check=True, capture_output=True)
    return out, bits


@pytest.mark.parametrize("name", BACKENDS)
def test_an_executable_that_gcc_made_runs_at_its_addresses(name, executable) -> None:
    available(name)
    path, bits = executable
    guest = read_guest(str(path), None, None)
    assert (guest.bits, guest.entry >= 0x200000) == (bits, True)
    ran = run(name, path.read_bytes(), bits, PLAIN)
    assert (ran.how, ran.report.ending.value, bytes(ran.told.output)) == ("ended", 0, b"from C")


def test_an_executable_is_not_run_as_code_of_another_size(executable) -> None:
    path, bits = executable
    with pytest.raises(UnreadableError, match=f"it holds {bits}-bit code, not 16-bit"):
        read_guest(str(path), 16, None)


def test_damaged_executables_are_refused_or_loaded_but_never_trip(executable) -> None:
    data = executable[0].read_bytes()
    chance = random.Random(7)
    refused = 0
    for _ in range(3000):
        damaged = bytearray(data[: chance.choice((len(data), chance.randrange(64, 400)))])
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(min(len(damaged), 200))] = chance.choice((0, 0xFF, chance.randrange(256)))
        try:
            prepare(elf(bytes(damaged), None), MEMORY)
        except UnreadableError:
            refused += 1
    assert refused > 500


@pytest.mark.parametrize(
    ("data", "bits", "said"),
    [
        (b"", None, "is empty"),
        (b"\x7fELF", None, "no little-endian ELF"),
        (b"\x7fELF\x02\x01".ljust(64, b"\0"), None, "another machine"),
        (b"\xf4" * 0xF001, 16, "a 16-bit image ends below 0xfff0"),
    ],
)
def test_files_that_cannot_be_run_say_why(data, bits, said, tmp_path) -> None:
    (tmp_path / "guest").write_bytes(data)
    with pytest.raises(UnreadableError, match=said):
        read_guest(str(tmp_path / "guest"), bits, None)


def test_an_image_must_fit_under_the_tables() -> None:
    with pytest.raises(UnreadableError, match="leave room up to 0xff8000"):
        prepare(Guest(32, ((0xFF8000, b"x"),), 0xFF8000, 0xFF8001))
    prepare(Guest(32, ((0xFF7FFF, b"x"),), 0xFF7FFF, 0xFF8000))
    with pytest.raises(UnreadableError, match="leave room"):
        prepare(flat(b"x", 64, 1 << 62))


def test_a_file_is_named_when_it_cannot_be_read(tmp_path) -> None:
    with pytest.raises(UnreadableError, match=r"cannot read the guest .*: is a directory"):
        read_guest(str(tmp_path), None, None)


# The devices.


def test_serial_output_waits_for_nothing_and_the_divisor_is_not_printed() -> None:
    out = bytearray()
    devices = Devices(out.append)
    devices.write_port(0x3FB, 1, 0x83)  # DLAB
    devices.write_port(0x3F8, 1, 0x0C)
    devices.write_port(0x3F9, 1, 0x00)
    assert (devices.read_port(0x3F8, 1), devices.read_port(0x3FB, 1)) == (0x0C, 0x83)
    devices.write_port(0x3FB, 1, 0x03)
    assert devices.read_port(0x3FD, 1) == 0x60
    devices.write_port(0x3F8, 1, ord("A"))
    devices.write_port(0xE9, 1, ord("B"))
    devices.write_port(0x3F7, 2, ord("C") << 8)
    assert out == b"ABC"


def test_empty_ports_read_as_ones_at_every_width() -> None:
    devices = Devices(lambda byte: None)
    assert [devices.read_port(0x8000, width) for width in (1, 2, 4)] == [0xFF, 0xFFFF, 0xFFFFFFFF]
    assert devices.read_port(0xE9, 1) == 0xE9
    devices.write_port(0x8000, 4, 0x12345678)


@pytest.mark.parametrize(("port", "width", "value"), [(0xF4, 1, 7), (0xF4, 4, 0x10), (0x604, 2, 0x2000)])
def test_the_exit_ports_end_the_guest_with_what_was_written(port, width, value) -> None:
    with pytest.raises(Stop) as stopped:
        Devices(lambda byte: None).write_port(port, width, value)
    assert (stopped.value.ending.how, stopped.value.ending.value) == ("ended", value)


def test_acpi_control_without_sleep_enable_ends_nothing() -> None:
    Devices(lambda byte: None).write_port(0x604, 2, 0x1C00)


# kvm_filter.json.

RANGE = '{"flags": 3, "base": 16, "nmsrs": 8, "bitmap": "00"}'


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"flags": 2, "ranges": []}', '{"flags": true, "ranges": []}', '{"flags": 0, "ranges": [1]}',
     f'{{"flags": 0, "ranges": [{", ".join([RANGE] * 17)}]}}',
     '{"flags": 0, "ranges": [' + RANGE.replace('"flags": 3', '"flags": 4') + "]}",
     '{"flags": 0, "ranges": [' + RANGE.replace("16", "-1") + "]}",
     '{"flags": 0, "ranges": [' + RANGE.replace("8", "9") + "]}",
     '{"flags": 0, "ranges": [' + RANGE.replace("8", "0x3001") + "]}",
     '{"flags": 0, "ranges": [' + RANGE.replace("8", "12289") + "]}",
     '{"flags": 0, "ranges": [' + RANGE.replace("16", "4294967290") + "]}",
     '{"flags": 0, "ranges": [' + RANGE.replace('"00"', '"zz"') + "]}", "[" * 100_000],
)  # fmt: skip
def test_a_filter_that_kvm_would_misread_is_refused(text) -> None:
    with pytest.raises(UnreadableError, match=r"kvm_filter\.json"):
        read_filter(text.encode())


def test_bitmaps_are_padded_to_what_the_kernel_copies() -> None:
    found = read_filter(f'{{"flags": 1, "ranges": [{RANGE}]}}'.encode())
    assert [len(each.bitmap) for each in found.ranges] == [8]
    assert [found.exits(index, False) for index in (15, 16, 23, 24, 0x800, 0x900)] == [True] * 4 + [False, True]


def test_the_tables_of_a_guest_are_where_the_page_says() -> None:
    start = prepare(flat(b"\xf4", 64))
    memory = bytearray(MEMORY)
    for address, data in start.pieces:
        memory[address : address + len(data)] = data
    (pdpt,) = struct.unpack_from("<Q", memory, start.pml4)
    (directory,) = struct.unpack_from("<Q", memory, pdpt & ~0xFFF)
    entries = struct.unpack_from("<512Q", memory, directory & ~0xFFF)
    assert [each & ~0xFFF for each in entries] == [number << 21 for number in range(512)]
    assert {each & 0xFFF for each in entries} == {0x83}
    assert start.pml4 >= MEMORY - 0x8000
    for vector in (0, 13, 255):
        low, selector, kind, middle, high = struct.unpack_from("<HHHHI", memory, start.idt + 16 * vector)
        assert (selector, kind, low | middle << 16 | high << 32) == (8, 0x8E00, start.stubs + vector)
        assert memory[start.stubs + vector] == 0xF4
