"""Backends in which VT-x or SVM itself decides what exits: the reference hypervisor on Bochs, or on QEMU.

A bundle's images and its exit handler, compiled unmodified, go into the hypervisor (runtime/reference/guest.c); it runs
the guest, and prints each access that exited, with what the guest was given. The report is made of that as it comes:
each exit is decided once more by the session's own rules, and the two must agree on every answer.
"""

from __future__ import annotations

import os
import struct
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, NoReturn

from policyc.bundle.read import Bundle
from policyc.emitters import ctext
from policyc.emitters.rows import profile_name
from policyc.runtime.acting import GENERAL_PROTECTION, Fault
from policyc.runtime.auto import Auto
from policyc.runtime.backend import Exits, Ports, Unavailable
from policyc.runtime.devices import (
    ACPI_CONTROL,
    DEBUG_CONSOLE,
    DEBUG_EXIT,
    DEBUG_EXIT_LAST,
    SERIAL,
    SERIAL_LAST,
    Devices,
)
from policyc.runtime.endings import CRASHED, HALTED, Ending, Stop
from policyc.runtime.guest import GDT_LIMIT, Start
from policyc.verify import emulators
from policyc.verify.emulators import LARGEST_ROM, Listener, Machine, Printed
from policyc.verify.probes import ADDRESS, LARGEST_PAYLOAD, header
from policyc.verify.rom import HOW, SIZE, compiler, guest_rom
from policyc.verify.subjects import IO_IMAGE, MSR_IMAGE
from policyc.vocabulary.diagnostic import UnreadableError
from policyc.vocabulary.intervals import Intervals, intersect

GUEST_MEMORY = 0x100_0000
"""Where the guest's memory begins in the machine's, and how large it may be."""

LARGEST_GUEST = LARGEST_ROM - SIZE
"""Bytes of a guest: it comes in the ROM, below the hypervisor."""

OWN_PORTS: Intervals = (
    (0x64, 0x64), (0x92, 0x92), (DEBUG_CONSOLE, DEBUG_CONSOLE), (DEBUG_EXIT, DEBUG_EXIT_LAST), (SERIAL, SERIAL_LAST),
    (ACPI_CONTROL, ACPI_CONTROL + 1), (0xCF9, 0xCF9), (0x8900, 0x8900),
)  # fmt: skip
"""Ports that exit whatever the policy says: own_ports of runtime/reference/world.c."""

_HEARD: Intervals = (
    (DEBUG_CONSOLE, DEBUG_CONSOLE), (DEBUG_EXIT, DEBUG_EXIT_LAST), (SERIAL, SERIAL_LAST), (ACPI_CONTROL, ACPI_CONTROL),
)  # fmt: skip
"""Those where what is written is printed, or ends the guest."""

MOST_AUTOS = 64
"""AUTOS_MOST of runtime/reference/hv.h."""

_FAULT = 2
"""POLICYC_FAULT of enum policyc_status."""
_KINDS = ("rdmsr", "wrmsr", "in", "out")
_READS = (0, 2)
_PAGE = 4096
_PROFILE, _AUTO, _PIECE = struct.Struct("<II"), struct.Struct("<IIIIIIQ"), struct.Struct("<III")


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
        """What is printed, and what ends the guest, is known from the exit: the hypervisor has these ports exit always."""
        if intersect(_HEARD, ((port, port + width - 1),)):
            super().write_port(port, width, value)


class Emulated:
    """What both backends have in common. bundle, profile, vcpu: whose handler is compiled. autos: all changes of the
    rules that there can be."""

    name = ""
    simulated = False
    targets: tuple[str, ...] = ()

    def __init__(
        self, bundle: Bundle, profile: str | None = None, vcpu: int = 0, autos: Sequence[Auto] = (), model: str = ""
    ) -> None:
        missing = self._missing() or ("" if compiler() else HOW)
        if missing:
            raise Unavailable(missing)
        if len(autos) > MOST_AUTOS:
            raise UnreadableError(f"the backend {self.name} knows {MOST_AUTOS} --auto rules at most")
        self.answer = 0
        self.status = 0
        self._bundle, self._vcpu, self._autos = bundle, vcpu, tuple(autos)
        self._model = model
        self._profiles = tuple(dict.fromkeys((profile, *(each.profile for each in autos))))
        self._images: Mapping[str, bytes] | None = None
        self._target = ""
        self._kill: Callable[[], None] = lambda: None
        self._interrupted = False
        self._rom = ""
        self._thread = 0
        self._due = False

    @property
    def always_exits(self) -> Intervals:
        return OWN_PORTS

    def _missing(self) -> str:
        raise NotImplementedError

    def _boot(self, machine: Machine, listen: Listener) -> Printed:
        raise NotImplementedError

    def world(self, console: Callable[[int], None]) -> Devices:
        """The devices that a session is to use with this backend."""
        return Recorded(console, self)

    def start(self, start: Start) -> None:
        if start.memory > GUEST_MEMORY:
            raise UnreadableError(f"the backend {self.name} gives a guest {GUEST_MEMORY >> 20} MiB at most")
        size = sum(len(data) for _, data in start.pieces)
        if size > LARGEST_GUEST:
            raise UnreadableError(
                f"the backend {self.name} loads guests of {LARGEST_GUEST >> 10:,} KiB at most; this one has {size >> 10:,}"
            )
        self._start = start

    def install(self, target: str, images: Mapping[str, bytes]) -> None:
        """At the start, and when an --auto rule asks for it: then the hypervisor has done so already."""
        if self._images is not None:
            if threading.get_ident() != self._thread:
                raise UnreadableError(f"on the backend {self.name} the rules change by --auto alone")
            self._due = True
        self._target, self._images = target, images
        if not self._rom:
            with tempfile.TemporaryDirectory(prefix="policyc-") as folder:
                self._write_handler(folder)
                self._rom = guest_rom(folder).path

    def run(self, exits: Exits, ports: Ports) -> NoReturn:
        self._thread = threading.get_ident()
        nonce = int.from_bytes(os.urandom(4), "little") | 1 << 31
        below = b"".join(data for _, data in self._start.pieces)
        machine = Machine(
            self._rom, ((self._payload(nonce), ADDRESS),), guest=True, below=below, timeout=None, began=self._began
        )
        heard = _Heard(f"{nonce:x}", lambda words: self._take(words, exits))
        self._boot(machine, heard)
        exits.poll()
        raise Stop(Ending(CRASHED, f"{self.name} ended, and the guest with it"))

    def _began(self, kill: Callable[[], None]) -> None:
        self._kill = kill
        if self._interrupted:
            kill()

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
            "#define PROFILES " + ", ".join(f"&{profile_name(prefix, each)}" for each in self._profiles),
            f"#define VCPU {self._vcpu}u",
            "#define HANDLERS " + " ".join(f"FORWARD_{space.upper()}({name})" for name, space in forwards),
        ]
        return "\n".join(lines) + "\n"

    def _payload(self, nonce: int) -> bytes:
        """struct payload of runtime/reference/hv.h, and all that it points to."""
        start = self._start
        state = (start.bits, start.memory, start.gdt, GDT_LIMIT, start.idt, start.idt_limit, start.pml4)
        images, places = self._all_images()
        tables = (
            [_PROFILE.pack(*each) for each in places],
            list(self._auto_rows()),
            list(_pieces(start)),
        )
        end = _PAGE + len(images)
        told: list[int] = []
        for rows in tables:
            told += [end, len(rows)]
            end += sum(len(each) for each in rows)
        if end > LARGEST_PAYLOAD:
            raise UnreadableError(
                f"the backend {self.name} has no room for the images of {len(self._profiles)} profiles"
            )
        first = header(self._target, 0, 0, guest=(start.entry, start.stack, nonce, *state, *told))
        return first + images + b"".join(row for rows in tables for row in rows)

    def _all_images(self) -> tuple[bytes, list[tuple[int, int]]]:
        """The images of all profiles, equal ones once, and where those of each lie in the payload."""
        where: dict[bytes, int] = {}
        whole = bytearray()
        places = []
        for profile in self._profiles:
            images = self._bundle.images(self._target, profile, self._vcpu)
            place = []
            for name in (MSR_IMAGE[self._target], IO_IMAGE[self._target]):
                if images[name] not in where:
                    where[images[name]] = _PAGE + len(whole)
                    whole += images[name]
                place.append(where[images[name]])
            places.append((place[0], place[1]))
        return bytes(whole), places

    def _auto_rows(self) -> Iterable[bytes]:
        for number, each in enumerate(self._autos):
            kind, profile = _KINDS.index(each.kind), self._profiles.index(each.profile)
            for first, last in each.ranges:
                yield _AUTO.pack(number, kind, first, last, profile, each.value is not None, each.value or 0)

    # What the hypervisor prints.

    def _take(self, words: Sequence[str], exits: Exits) -> None:
        """One of its lines. Raises Stop at the last one."""
        mark, numbers = words[0], words[1:]
        if self._due != (mark == "@"):
            raise UnreadableError("the reference hypervisor and the session do not change the rules at the same access")
        if mark == "@":
            self._due = False
            expected = self._bundle.images(self._target, self._profiles[int(numbers[0], 16)], self._vcpu)
            if self._images != expected:
                raise UnreadableError("the reference hypervisor has put another profile in force than the session")
        elif mark == "!":
            self._tell(_Line(*(int(each, 16) for each in numbers)), exits)
        elif mark == "=":
            raise Stop(self._ending(numbers[0], int(numbers[1], 16), int(numbers[2], 16)))
        else:
            raise UnreadableError(f"the reference hypervisor on {self.name}: {' '.join(numbers)}")

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
        kind = _KINDS[line.kind]
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
        """The end of the emulator is the end of ``run``, which then asks why."""
        self._interrupted = True
        self._kill()

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
        own = ", ".join(f"{lo:#x}" if lo == hi else f"{lo:#x}..{hi:#x}" for lo, hi in OWN_PORTS)
        return (
            f"{self._processor()} is emulated: no hardware is involved",
            f"accesses that no rule traps, as they do not exit; only ports {own} always do, as the hypervisor needs them",
        )

    def _processor(self) -> str:
        return "VT-x" if self._target == "vmx" else "SVM"

    def close(self) -> None:
        """Nothing is held: the emulator is gone when ``run`` ends."""


class Bochs(Emulated):
    """VT-x, or SVM where the bundle has no images for VT-x. model: of the processor, as Bochs names it."""

    name = "bochs"
    targets = ("vmx", "svm")

    def _missing(self) -> str:
        return emulators.bochs_missing()

    def _boot(self, machine: Machine, listen: Listener) -> Printed:
        usual = emulators.INTEL_MODELS[0] if self._target == "vmx" else emulators.AMD_MODEL
        return emulators.bochs(machine, self._model or usual, listen)


class QemuSvm(Emulated):
    """SVM by QEMU's translator."""

    name = "qemu-svm"
    targets = ("svm",)

    def _missing(self) -> str:
        return emulators.qemu_missing()

    def _boot(self, machine: Machine, listen: Listener) -> Printed:
        return emulators.qemu(machine, listen)


def _pieces(start: Start) -> Iterable[bytes]:
    """struct piece of runtime/reference/hv.h: the guest's pieces one behind the other, up to the hypervisor's ROM."""
    at = (1 << 32) - SIZE - sum(len(data) for _, data in start.pieces)
    for address, data in start.pieces:
        yield _PIECE.pack(at, address, len(data))
        at += len(data)


class _Heard:
    """Output as it comes, line by line: the hypervisor's lines are taken, as words without the nonce.

    The first word is ``!``, ``@`` or ``=``, or empty where it gives up. All else is the emulator's.
    """

    def __init__(self, nonce: str, take: Callable[[Sequence[str]], None]) -> None:
        self._nonce = nonce
        self._take = take
        self._rest = ""

    def __call__(self, piece: str) -> None:
        *lines, self._rest = (self._rest + piece).split("\n")
        for line in lines:
            words = line.split(" ")
            if words[0][1:] == self._nonce:
                self._take((words[0][0], *words[1:]))
            elif words[0] in ("REFUSED", "FAULT", "ENTRY"):
                self._take(("", *(words[1:] if words[0] == "REFUSED" else words)))
