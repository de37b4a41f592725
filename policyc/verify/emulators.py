"""Bochs and QEMU as processors: a ROM and a payload in, what the guest printed out.

Neither needs a display, a terminal, a network or rights. Both end by themselves; one that does not is killed.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Timer
from typing import NamedTuple

from policyc.vocabulary.diagnostic import UnreadableError

TIMEOUT = 120
"""Seconds after which an emulator is killed."""

INTEL_MODELS = ("corei7_haswell_4770", "corei7_skylake_x", "corei7_icelake_u")
AMD_MODEL = "ryzen"

LARGEST_ROM = 2 << 20
"""Bytes that Bochs has below 4 GiB for one. Its ROM's size must be a power of two."""

_VGA_BYTES = 512
"""Of an option ROM that holds nothing: Bochs insists on one."""

_BOCHSRC = """\
display_library: term
plugin_ctrl: unmapped=1, biosdev=0, speaker=0, extfpuirq=0, parallel=0, serial={serial}, gameport=0, iodebug=0
cpu: model={model}, count=1, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=0
memory: guest=64, host=64
romimage: file="{rom}"
vgaromimage: file="{folder}/vga"
{images}vga: extension=none, update_freq=1
ata0: enabled=0
ata1: enabled=0
pci: enabled={pci}, chipset=i440fx
clock: sync=none
sound: waveoutdrv=dummy
port_e9_hack: enabled=1
{com1}log: /dev/null
panic: action=report, floppy=report
error: action=ignore
info: action=ignore
debug: action=ignore
"""


Began = Callable[[Callable[[], None]], None]
"""Called when the emulator runs, with what kills it, from any thread."""


class Machine(NamedTuple):
    """rom: path. images: bytes and physical address of each. guest: whether it has what a guest may look for: a serial
    port, a PCI bridge. below: what lies in the ROM below the hypervisor: it ends where that one begins, and the whole
    is at most LARGEST_ROM. timeout: seconds after which the emulator is killed; None for never."""

    rom: str
    images: tuple[tuple[bytes, int], ...]
    guest: bool = False
    below: bytes = b""
    timeout: float | None = TIMEOUT
    began: Began = lambda kill: None


class Printed(NamedTuple):
    """text: what was printed on the debug console. version: the emulator's, with the processor's model."""

    text: str
    version: str


Listener = Callable[[str], None]
"""Called with each piece of output as it comes. What it raises ends the emulator, and is let through."""


def bochs_missing() -> str:
    """Empty, or how to get Bochs."""
    return "" if shutil.which("bochs") else "apt install bochs bochs-term"


def qemu_missing() -> str:
    """Empty, or how to get QEMU."""
    return "" if shutil.which("qemu-system-x86_64") else "apt install qemu-system-x86"


def bochs(machine: Machine, model: str, listen: Listener) -> Printed:
    """Run a machine under Bochs, which counts as done when the guest shuts it down.

    Debian's Bochs is built with its debugger, which must be told to go on: ``c`` on standard input. It ignores
    SIGTERM. Its plug-in for terminals opens one of its own, but wants TERM to be a kind that exists.
    """
    with _folder(machine) as folder:
        images = "".join(
            f'optramimage{number}: file="{folder}/image{number}", address={address:#x}\n'
            for number, (_, address) in enumerate(machine.images, 1)
        )
        with open(os.path.join(folder, "vga"), "wb") as stream:
            stream.write(bytes(_VGA_BYTES))
        path = os.path.join(folder, "bochsrc")
        with open(path, "w", encoding="utf-8") as text:
            have = int(machine.guest)
            text.write(
                _BOCHSRC.format(
                    model=model,
                    rom=_rom(machine, folder),
                    folder=folder,
                    images=images,
                    pci=have,
                    serial=have,
                    com1="com1: enabled=1, mode=null\n" * have,
                )
            )
        said = _run(["bochs", "-q", "-f", path], {**os.environ, "TERM": "dumb"}, b"c\nq\n", listen, machine)
    version = re.search(r"Bochs x86 Emulator (\S+)", said)
    # What the debugger prints: banner, first instruction and prompt before, the last instruction after, in one line.
    text_ = re.sub(r"\(0\)\.\[\d+\].*", "", said.partition("ctxt):")[2].partition("\n")[2])
    text_ = re.sub(r"\A<bochs:1> .*\n?", "", text_)
    return Printed(text_, f"Bochs {version[1] if version else 'unknown'}, {model}")


def qemu(machine: Machine, listen: Listener) -> Printed:
    """Run a machine under QEMU's own translator, without any help of the host's processor."""
    with _folder(machine) as folder:
        words = ["qemu-system-x86_64", "-machine", "pc,accel=tcg", "-cpu", "max", "-m", "64", "-display", "none"]
        words += ["-nodefaults", "-no-reboot", "-bios", _rom(machine, folder), "-debugcon", "stdio"]
        words += ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        for number, (_, address) in enumerate(machine.images, 1):
            words += ["-device", f"loader,file={folder}/image{number},addr={address:#x},force-raw=on"]
        if machine.guest:
            words += ["-serial", "null"]
        said = _run(words, dict(os.environ), b"", listen, machine)
    return Printed(said, f"{qemu_version()}, TCG, cpu max")


def qemu_version() -> str:
    """As in ``QEMU 7.2.22``."""
    try:
        said = subprocess.run(
            ["qemu-system-x86_64", "--version"], capture_output=True, timeout=TIMEOUT, check=False, text=True
        )
    except (OSError, subprocess.SubprocessError):
        return "QEMU unknown"
    found = re.search(r"version (\S+)", said.stdout)
    return f"QEMU {found[1] if found else 'unknown'}"


@contextmanager
def _folder(machine: Machine) -> Iterator[str]:
    """A folder with the machine's images, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="policyc-") as folder:
        for number, (data, _) in enumerate(machine.images, 1):
            with open(os.path.join(folder, f"image{number}"), "wb") as stream:
                stream.write(data)
        yield folder


def _rom(machine: Machine, folder: str) -> str:
    """The path of the ROM, padded to a power of two if there is something below the hypervisor."""
    if not machine.below:
        return machine.rom
    with open(machine.rom, "rb") as stream:
        top = stream.read()
    size = len(top)
    while size < len(top) + len(machine.below):
        size *= 2
    path = os.path.join(folder, "rom")
    with open(path, "wb") as stream:
        stream.write(bytes(size - len(top) - len(machine.below)) + machine.below + top)
    return path


def _run(words: list[str], environment: dict[str, str], typed: bytes, listen: Listener, machine: Machine) -> str:
    """What an emulator prints until it ends. Whatever happens, it and all it started are gone afterwards."""
    try:
        process = subprocess.Popen(
            words,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent(),
        )
    except OSError as reason:
        raise UnreadableError(f"{words[0]} cannot be started: {reason.strerror}") from None
    timer = None
    if machine.timeout is not None:
        timer = Timer(machine.timeout, _kill, (process,))
        timer.daemon = True
        timer.start()
    said: list[str] = []
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        machine.began(lambda: _kill(process))
        with suppress(BrokenPipeError):
            process.stdin.write(typed)
            process.stdin.close()
        while piece := os.read(process.stdout.fileno(), 1 << 16):
            said.append(piece.decode("latin-1"))
            listen(said[-1])
    finally:
        if timer is not None:
            timer.cancel()
        _kill(process)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    return "".join(said)


def _die_with_parent() -> Callable[[], None]:
    """What a child calls so that the kernel kills it when this thread is gone, however it went: prctl(2),
    PR_SET_PDEATHSIG (1). A parent that went before the call is asked for afterwards."""
    import ctypes

    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(1, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the emulator's whole session; one that has ended is left alone."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
