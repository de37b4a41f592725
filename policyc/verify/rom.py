"""The reference hypervisor's ROM: built by this machine's C compiler when it is first needed, then kept.

It is kept in the user's cache folder under the SHA-256 of its sources, the flags and the compiler's version.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

from policyc import resources
from policyc.vocabulary.diagnostic import UnreadableError

HOW = "a C compiler for x86-64: apt install gcc"

SIZE = 0x10000
"""Bytes of the ROM, which ends at 4 GiB."""

FLAGS = (
    "-std=gnu11 -m64 -mno-red-zone -O2 -ffreestanding -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables "
    "-fno-strict-aliasing -mgeneral-regs-only -nostdlib -static -Wl,--build-id=none -Wl,-N -Wl,--oformat=binary"
).split()

_TIMEOUT = 60
_PROBE = ("boot.S", "enter.S", "machine.c", "vmx_engine.c", "svm_engine.c", "probe.c")
_GUEST = ("boot.S", "enter.S", "machine.c", "vmx_engine.c", "svm_engine.c", "guest.c", "paging.c", "rules.c", "world.c")
_APPLY = ("pages.c", "vmx.c", "svm.c")


class Built(NamedTuple):
    """path: of the ROM. compiler: the first line of its version."""

    path: str
    compiler: str


def compiler() -> str | None:
    """The C compiler: what CC names, or the first usual one that is there."""
    for name in (os.environ.get("CC", ""), "gcc", "cc", "clang"):
        found = shutil.which(name) if name else None
        if found is not None:
            return found
    return None


def probe_rom() -> Built:
    """The ROM that executes probes."""
    return build(_sources(_PROBE), ())


def guest_rom(handler: str) -> Built:
    """The ROM that runs a guest. handler: the folder with a bundle's exit_handler.c, its header, and glue.h."""
    return build((*_sources(_GUEST), os.path.join(handler, "exit_handler.c")), (handler,))


def build(sources: Sequence[str], folders: Sequence[str]) -> Built:
    """A ROM of C and assembler files. folders: where else headers are found, which are part of what is hashed."""
    cc = compiler()
    if cc is None:
        raise UnreadableError(f"the reference hypervisor cannot be built without {HOW}")
    said = version(cc)
    name = f"reference-{_digest(cc, said, sources, folders)[:32]}.rom"
    place = os.path.join(cache_folder(), name)
    if not _whole(place):
        place = _kept(_compiled(cc, sources, folders), place)
    return Built(place, said)


def cache_folder() -> str:
    """The user's folder for what can be made again."""
    base = os.environ.get("XDG_CACHE_HOME", "") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "policyc")


def _sources(names: Sequence[str]) -> tuple[str, ...]:
    reference, apply = resources.folder("runtime/reference"), resources.folder("runtime/apply")
    return (*(os.path.join(reference, each) for each in names), *(os.path.join(apply, each) for each in _APPLY))


def _digest(cc: str, said: str, sources: Sequence[str], folders: Sequence[str]) -> str:
    from hashlib import sha256

    whole = sha256("\0".join((cc, said, *FLAGS)).encode())
    for folder in sorted({*(os.path.dirname(each) for each in sources), *folders}):
        for name in sorted(os.listdir(folder)):
            if name.endswith((".c", ".h", ".S", ".ld")):
                with open(os.path.join(folder, name), "rb") as stream:
                    whole.update(f"{name}\0".encode() + sha256(stream.read()).digest())
    return whole.hexdigest()


def version(cc: str) -> str:
    """The first line of what a compiler says of itself. Raises UnreadableError for one that does not run."""
    try:
        said = subprocess.run([cc, "--version"], capture_output=True, timeout=_TIMEOUT, check=False, text=True)
    except (OSError, subprocess.SubprocessError) as reason:
        raise UnreadableError(f"{cc} does not run: {reason}") from None
    return said.stdout.partition("\n")[0].strip() or os.path.basename(cc)


def _compiled(cc: str, sources: Sequence[str], folders: Sequence[str]) -> bytes:
    """The ROM's bytes. Raises UnreadableError with what the compiler says."""
    script = os.path.join(resources.folder("runtime/reference"), "link.ld")
    include = [word for folder in folders for word in ("-I", folder)]
    with tempfile.TemporaryDirectory(prefix="policyc-") as folder:
        out = os.path.join(folder, "rom")
        words = [cc, *FLAGS, f"-Wl,-T,{script}", *include, *sources, "-o", out]
        try:
            done = subprocess.run(words, capture_output=True, timeout=_TIMEOUT, check=False, text=True)
        except (OSError, subprocess.SubprocessError) as reason:
            raise UnreadableError(f"the reference hypervisor cannot be built: {reason}") from None
        if "does not fit" in done.stderr or "runs into" in done.stderr:
            raise UnreadableError(
                f"the exit handler is too large for the reference hypervisor's ROM of {SIZE >> 10} KiB"
            )
        if done.returncode != 0 or not _whole(out):
            said = next((line for line in done.stderr.splitlines() if "error" in line), "it says nothing")
            raise UnreadableError(f"the reference hypervisor cannot be built; it needs {HOW}; {cc} says: {said[:300]}")
        with open(out, "rb") as stream:
            return stream.read()


def _whole(path: str) -> bool:
    try:
        return os.path.getsize(path) == SIZE
    except OSError:
        return False


def _kept(rom: bytes, place: str) -> str:
    """Where the ROM was put: the cache, or a folder of this process where there is no writing to the cache."""
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        handle, path = tempfile.mkstemp(dir=os.path.dirname(place))
    except OSError:
        import atexit

        handle, path = tempfile.mkstemp(prefix="policyc-", suffix=".rom")
        place = path
        atexit.register(os.unlink, path)
    with open(handle, "wb") as stream:
        stream.write(rom)
    os.replace(path, place)
    return place
