"""Backends in which VT-x or SVM itself decides what exits: the reference hypervisor on Bochs, or on QEMU.

A bundle's images and its exit handler, compiled unmodified, go into the hypervisor (runtime/reference/guest.c); it runs
the guest to its end and prints each access that exited, with what the guest was given. The report is made of that
afterwards: each exit is decided once more by the session's own rules, and the two must agree on every answer.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, NoReturn

from policyc.bundle.read import Bundle
from policyc.emitters import ctext
from policyc.emitters.rows import profile_name
from policyc.runtime.acting import GENERAL_PROTECTION, Fault
from policyc.runtime.backend import Exits, Ports, Unavailable
from policyc.runtime.devices import ACPI_CONTROL, DEBUG_EXIT, DEBUG_EXIT_LAST, Devices
from policyc.runtime.endings import CRASHED, ENDED, HALTED, TIMEOUT, Ending, Stop
from policyc.runtime.guest import Start
from policyc.verify import emulators
from policyc.verify.emulators import Machine, Printed
from policyc.verify.probes import ADDRESS, LARGEST_PAYLOAD, header
from policyc.verify.rom import HOW, compiler, guest_rom
from policyc.verify.subjects import IO_IMAGE, MSR_IMAGE
from policyc.vocabulary.diagnostic import UnreadableError

GUEST_MEMORY = 0x100_0000
"""Where the guest's memory begins in the machine's, and how large it may be."""

MOST_IMAGES = 4
"""Files that Bochs loads into memory, of LARGEST_PAYLOAD bytes each; the payload is one."""

_FAULT = 2
"""POLICYC_FAULT of enum policyc_status."""
_READS = (0, 2)
_LARGEST_WAIT = 60.0


class _Line(NamedTuple):
    """One access that exited. kind: 0..3, RDMSR, WRMSR, IN, OUT."""

    kind: int
    address: int
    width: int
    value: int
    status: int


class Recorded(Devices):
    """The devices are the emulator's, and have answered already. backend: knows what."""

    def __init__(self, console: Callable[[int], None], backend: Emulated) -> None:
        super().__init__(console)
        self._backend = backend

    def read_port(self, port: int, width: int) -> int:
        return self._backend.answer

    def write_port(self, port: int, width: int, value: int) -> None:
        if DEBUG_EXIT <= port <= DEBUG_EXIT_LAST or port == ACPI_CONTROL:
            super().write_port(port, width, value)


class Emulated:
    """What both backends have in common. bundle, profile, vcpu: whose handler is compiled."""

    name = ""
    simulated = False
    targets: tuple[str, ...] = ()
    all_ports = False

    def __init__(self, bundle: Bundle, profile: str | None = None, vcpu: int = 0, timeout: float | None = None) -> None:
        missing = self._missing() or ("" if compiler() else HOW)
        if missing:
            raise Unavailable(missing)
        self.answer = 0
        self.status = 0
        self._bundle, self._profile, self._vcpu = bundle, profile, vcpu
        self._timeout = timeout or _LARGEST_WAIT
        self._images: Mapping[str, bytes] | None = None
        self._target = ""
        self.devices: Recorded | None = None

    def _missing(self) -> str:
        raise NotImplementedError

    def _boot(self, machine: Machine) -> Printed:
        raise NotImplementedError

    def world(self, console: Callable[[int], None]) -> Devices:
        """The devices that a session is to use with this backend."""
        self.devices = Recorded(console, self)
        return self.devices

    def start(self, start: Start) -> None:
        if start.bits == 64:
            raise UnreadableError(f"the backend {self.name} runs guests of 16 and 32 bits")
        if start.memory > GUEST_MEMORY:
            raise UnreadableError(f"the backend {self.name} gives a guest {GUEST_MEMORY >> 20} MiB at most")
        self._start = start

    def install(self, target: str, images: Mapping[str, bytes]) -> None:
        if self._images is not None:
            raise UnreadableError(f"the backend {self.name} keeps the rules that it started with")
        self._target, self._images = target, images

    def run(self, exits: Exits, ports: Ports) -> NoReturn:
        nonce = int.from_bytes(os.urandom(4), "little") | 1 << 31
        with tempfile.TemporaryDirectory(prefix="policyc-") as folder:
            self._write_handler(folder)
            rom = guest_rom(folder)
        pieces = ((self._payload(nonce), ADDRESS), *_blocks(self._start))
        if len(pieces) > MOST_IMAGES:
            raise UnreadableError(f"the backend {self.name} loads guests of {LARGEST_PAYLOAD >> 10} KiB in one piece")
        printed = self._boot(Machine(rom.path, pieces, guest=True, timeout=self._timeout))
        self._told(printed, nonce, exits)

    def _write_handler(self, folder: str) -> None:
        for name in ("exit_handler.c", "exit_handler.h"):
            with open(os.path.join(folder, name), "wb") as stream:
                stream.write(self._bundle.file(name))
        with open(os.path.join(folder, "glue.h"), "w", encoding="ascii") as text:
            text.write(self._glue())

    def _glue(self) -> str:
        """What guest.c needs to know of the bundle's names."""
        prefix = ctext.prefix(self._bundle.manifest.policy)
        forwards = ctext.forwards(self._bundle.file("exit_handler.h").decode("ascii", "replace"))
        lines = [
            '#include "exit_handler.h"',
            f"#define TARGET_{self._target.upper()}",
            f"#define TYPE(name) {prefix}_##name",
            f"#define FUNCTION(name) {prefix}_##name",
            f"#define PROFILE {profile_name(prefix, self._profile)}",
            f"#define VCPU {self._vcpu}u",
            "#define HANDLERS " + " ".join(f"FORWARD_{space.upper()}({name})" for name, space in forwards),
        ]
        return "\n".join(lines) + "\n"

    def _payload(self, nonce: int) -> bytes:
        assert self._images is not None
        msr, io = self._images[MSR_IMAGE[self._target]], self._images[IO_IMAGE[self._target]]
        start = self._start
        state = (start.bits, start.memory, start.gdt, 0x17, start.idt, start.idt_limit)
        return header(self._target, len(msr), len(io), guest=(start.entry, start.stack, nonce, *state)) + msr + io

    def _told(self, printed: Printed, nonce: int, exits: Exits) -> NoReturn:
        """Tell a session what happened, in order; the end is raised."""
        try:
            for line in _lines(printed.text, f"{nonce:x}", self._console):
                if isinstance(line, _Line):
                    self._tell(line, exits)
                else:
                    raise Stop(self._ending(*line))
        finally:
            for byte in printed.serial:
                self._console(byte)
        for text in printed.text.splitlines():
            if text.startswith(("REFUSED ", "FAULT ", "ENTRY ")):
                raise UnreadableError(f"the reference hypervisor on {self.name}: {text.removeprefix('REFUSED ')}")
        if printed.status < 0:
            raise Stop(Ending(TIMEOUT, f"the time of {self._timeout:g} s was over"))
        if printed.status % 2:  # QEMU's isa-debug-exit: twice the value, plus one.
            value = printed.status >> 1
            raise Stop(Ending(ENDED, f"the guest wrote {value:#x} to the exit port {DEBUG_EXIT:#x}", value))
        raise Stop(Ending(CRASHED, f"{self.name} ended, and the guest with it"))

    def _console(self, byte: int) -> None:
        if self.devices is not None:
            self.devices.console(byte)

    def _tell(self, line: _Line, exits: Exits) -> None:
        self.answer, self.status = line.value, line.status
        write = line.kind not in _READS
        given = line.value if write else 0
        try:
            if line.width == 8:
                answer = exits.msr(line.address, write, given)
            else:
                answer = exits.port(line.address, line.width, write, given)
        except Fault:
            if line.status != _FAULT:
                self._disagree(line, "an exception")
            return
        if line.status == _FAULT or (not write and answer != line.value):
            self._disagree(line, f"{answer:#x}")

    def _disagree(self, line: _Line, mine: str) -> NoReturn:
        kind = ("rdmsr", "wrmsr", "in", "out")[line.kind]
        theirs = "an exception" if line.status == _FAULT else f"{line.value:#x}"
        raise UnreadableError(f"{kind} {line.address:#x}: the exit handler gives {theirs}, the manifest's rules {mine}")

    def _ending(self, how: str, linear: int, number: int) -> Ending:
        at = f"at rip {linear + 1:#x}"
        if how == "halt":
            vector = linear - self._start.stubs
            if 0 <= vector < 256:
                return Ending(CRASHED, f"the guest took exception or interrupt {vector} and has no handler for it")
            return Ending(HALTED, f"the guest halted {at}")
        if how == "shutdown":
            return Ending(CRASHED, f"triple fault at rip {linear:#x}")
        if how == "memory":
            return Ending(CRASHED, f"the guest left its memory at rip {linear:#x}")
        return Ending(CRASHED, f"the guest made an exit that nothing handles at rip {linear:#x} ({number:#x})")

    def interrupt(self) -> None:
        """The guest has ended before a session hears of anything."""

    def cpl(self) -> int:
        return 0

    def read_msr(self, index: int) -> int:
        if self.status == _FAULT:
            raise Fault(GENERAL_PROTECTION)
        return self.answer

    def write_msr(self, index: int, value: int) -> None:
        if self.status == _FAULT:
            raise Fault(GENERAL_PROTECTION)

    def registers(self) -> dict[str, int]:
        return {}

    def memory(self) -> memoryview:
        return memoryview(bytearray())

    def notes(self) -> tuple[str, ...]:
        return (
            f"{self._processor()} is emulated: no hardware is involved",
            "accesses that no rule traps reach the emulator's own devices, and do not end the run",
            "times are those of the report, which is made when the guest has ended",
        )

    def _processor(self) -> str:
        return "VT-x" if self._target == "vmx" else "SVM"

    def close(self) -> None:
        """Nothing is held: the emulator is gone when ``run`` ends."""


class Bochs(Emulated):
    """VT-x, or SVM where the bundle has no images for VT-x."""

    name = "bochs"
    targets = ("vmx", "svm")

    def _missing(self) -> str:
        return emulators.bochs_missing()

    def _boot(self, machine: Machine) -> Printed:
        model = emulators.INTEL_MODELS[0] if self._target == "vmx" else emulators.AMD_MODEL
        return emulators.bochs(machine, model, lambda _: None)


class QemuSvm(Emulated):
    """SVM by QEMU's translator."""

    name = "qemu-svm"
    targets = ("svm",)

    def _missing(self) -> str:
        return emulators.qemu_missing()

    def _boot(self, machine: Machine) -> Printed:
        return emulators.qemu(machine, lambda _: None)


def _blocks(start: Start) -> tuple[tuple[bytes, int], ...]:
    """The guest's memory as images of at most LARGEST_PAYLOAD bytes that do not cross a multiple of it."""
    blocks: dict[int, bytearray] = {}
    for address, data in start.pieces:
        at = 0
        while at < len(data):
            number, offset = divmod(address + at, LARGEST_PAYLOAD)
            part = data[at : at + LARGEST_PAYLOAD - offset]
            block = blocks.setdefault(number, bytearray(LARGEST_PAYLOAD))
            block[offset : offset + len(part)] = part
            at += len(part)
    return tuple(
        (bytes(data).rstrip(b"\0") or b"\0", GUEST_MEMORY + number * LARGEST_PAYLOAD)
        for number, data in sorted(blocks.items())
    )


def _lines(text: str, nonce: str, console: Callable[[int], None]) -> Iterator[_Line | tuple[str, int, int]]:
    """The hypervisor's lines. All else that stands there the guest has printed, and goes to the console."""
    for line in text.splitlines():
        words = line.split(" ")
        if words[0] == f"!{nonce}" and len(words) == 6:
            yield _Line(*(int(each, 16) for each in words[1:]))
        elif words[0] == f"={nonce}" and len(words) == 4:
            yield words[1], int(words[2], 16), int(words[3], 16)
            return
        elif line:
            for byte in f"{line}\n".encode("latin-1"):
                console(byte)
