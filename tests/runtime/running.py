"""Guests assembled on the spot, bundles compiled on the spot, and runs that leave nothing behind."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from policyc.bundle.write import write_bundle
from policyc.pipeline import compile_policy
from policyc.runtime import backend as backends
from policyc.runtime import load
from policyc.runtime.guest import MEMORY, elf, flat, prepare
from policyc.runtime.session import Observer, Session
from tests.demand import need

ROOT = Path(__file__).parents[2]
GUESTS = ROOT / "examples" / "guests"
BACKENDS = ("kvm", "sim")
MODES = (16, 32, 64)


def available(name: str) -> None:
    """Skip the test where a backend cannot be had."""
    if name != "kvm":
        return
    try:
        backends.make("kvm").close()
        able = True
    except backends.Unavailable:
        able = False
    need("kvm", able, "a /dev/kvm this user may open, on Linux 5.10 or newer")


@cache
def assembled(name: str, bits: int, *defines: str) -> bytes:
    """examples/guests/NAME.asm as a flat binary."""
    return assemble((GUESTS / f"{name}.asm").read_text(), bits, *defines)


@cache
def assemble(text: str, bits: int, *defines: str) -> bytes:
    """Source text as a flat binary; BITS is defined, `bits` and `org` are the text's own business."""
    nasm = shutil.which("nasm")
    need("nasm", nasm is not None, "apt-get install nasm")
    assert nasm is not None
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "guest.asm"), Path(folder, "guest.bin")
        source.write_text(text)
        flags = [f"-D{each}" for each in (f"BITS={bits}", *defines)]
        subprocess.run([nasm, "-f", "bin", *flags, source, "-o", out], check=True, capture_output=True)
        return out.read_bytes()


def code(body: str, bits: int) -> bytes:
    """A few instructions at the place where flat images lie."""
    origin = 0x1000 if bits == 16 else 0x100000
    return assemble(f"bits {bits}\norg {origin:#x}\n{body}\n", bits)


@cache
def bundle(text: str):
    """The bundle of a policy's text, verified and in memory."""
    with tempfile.TemporaryDirectory() as folder:
        return load(written(text, Path(folder)))


def written(text: str, folder: Path) -> str:
    """The same in a folder: its path."""
    source = folder / "vm.pol"
    source.write_text(text)
    write_bundle(str(folder / "vm.bundle"), compile_policy(str(source)).files)
    return str(folder / "vm.bundle")


class Recorder(Observer):
    """Keeps everything that is told."""

    def __init__(self) -> None:
        self.exits = []
        self.logs = []
        self.traces = []
        self.output = bytearray()
        self.switches = []

    def exit(self, exit_) -> None:
        self.exits.append(exit_)

    def log(self, decider, access, suppressed) -> None:
        self.logs.append((access, suppressed))

    def trace(self, decider, access) -> None:
        self.traces.append(access)

    def console(self, byte) -> None:
        self.output.append(byte)

    def switched(self, switch) -> None:
        self.switches.append(switch)

    def trapped(self):
        return [each for each in self.exits if each.decider is not None]


class Ran:
    """What became of a run: its report, what was told, the registers and the memory at the end."""

    def __init__(self, report, told, registers, memory) -> None:
        self.report = report
        self.told = told
        self.registers = registers
        self.memory = memory

    @property
    def how(self) -> str:
        return self.report.ending.how


def run(name: str, image: bytes, bits: int, policy: str, *, watch: bool = True, memory: int = MEMORY, **options) -> Ran:
    """Run an image under a policy's text, or under a bundle."""
    found = bundle(policy) if isinstance(policy, str) else policy
    guest = elf(image, None) if image[:4] == b"\x7fELF" else flat(image, bits)
    told = Recorder()
    options.setdefault("timeout", 30)
    with closing(backends.make(name)) as backend:
        session = Session(backend, prepare(guest, memory), found, observer=told, watch=watch, **options)
        report = session.run()
        with backend.memory() as ram:
            return Ran(report, told, backend.registers(), bytes(ram[:0x2000]))
