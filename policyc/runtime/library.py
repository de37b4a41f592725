"""The libraries that `policyc exec` has in a VMM: built by this machine's C compiler when first needed, then kept.

One sees the VMM's calls and is the same for all bundles; it loads the other, a bundle's own exit handler. Each is kept
under the SHA-256 of all that goes into it, in a folder that only the user can write.
"""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Callable, Mapping

from policyc import resources
from policyc.bundle.read import Bundle
from policyc.emitters import ctext
from policyc.emitters.rows import profile_name
from policyc.verify.rom import cache_folder, compiler, version
from policyc.vocabulary.diagnostic import UnreadableError

HOW = "a C compiler and Linux's headers: apt install gcc libc6-dev linux-libc-dev"
SOURCES = ("epoch.c", "fault.c", "filter.c", "machine.c", "preload.c", "serving.c", "telling.c", "vcpu.c")
HEADERS = (
    *("epoch.h", "fault.h", "filter.h", "machine.h", "policy.h", "serving.h", "shared.h", "telling.h", "types.h"),
    "vcpu.h",
)
HANDLER = "policy.c"
"""The bundle's exit handler and what the other library asks of it, as one unit."""
LANGUAGE = ("-std=c11", "-D_GNU_SOURCE")
FLAGS = (*LANGUAGE, "-O2", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden", "-Wl,-z,defs,-z,now,-z,relro")
_TIMEOUT = 120


def preload(spare: str) -> str:
    """The path of the library that sees the VMM's calls. spare: a folder for it where there is none of the user's alone."""
    return _kept(_sources((*SOURCES, *HEADERS)), SOURCES, spare)


def handler(bundle: Bundle, spare: str) -> str:
    """The path of a bundle's exit handler as a library, with all its profiles."""
    return _kept(files(bundle), (HANDLER,), spare)


def _kept(parts: Mapping[str, bytes], sources: tuple[str, ...], spare: str) -> str:
    cc = compiler()
    if cc is None:
        raise UnreadableError(f"the library for the VMM cannot be built without {HOW}")
    folder = _private(os.path.join(cache_folder(), "exec")) or spare
    place = os.path.join(folder, f"{_digest(cc, version(cc), parts)[:40]}.so")
    if not _own(place, stat.S_ISREG):
        _build(cc, parts, sources, place)
    return place


def _sources(names: tuple[str, ...]) -> dict[str, bytes]:
    here = {name: resources.read("runtime/preload", name).encode() for name in names if name != "types.h"}
    return here | {"types.h": resources.read("templates", "exit_handler/types.h").encode()}


def files(bundle: Bundle) -> dict[str, bytes]:
    """Everything that a bundle's exit handler is compiled of, by name."""
    found = _sources((HANDLER, "policy.h", "types.h"))
    try:
        source, header = bundle.file("exit_handler.c"), bundle.file("exit_handler.h")
    except KeyError as missing:
        raise UnreadableError(f"the bundle lacks {missing.args[0]}; compile it again") from None
    if found["types.h"] not in header:
        raise UnreadableError("the bundle's exit handler is of another version of policyc; compile it again")
    found |= {"exit_handler.c": source, "exit_handler.h": header}
    return found | {"forwards.h": _forwards(bundle).encode("ascii")}


def profiles(bundle: Bundle) -> list[str | None]:
    """By the numbers that the handler's library gives them."""
    return list(dict.fromkeys(each.profile for each in bundle.manifest.variants))


def _forwards(bundle: Bundle) -> str:
    """What policy.c needs to know of the bundle's names. What ``forward`` calls is renamed, lest it be a libc function."""
    prefix = ctext.prefix(bundle.manifest.policy)
    declared = ctext.forwards(bundle.file("exit_handler.h").decode("ascii", "replace"))
    lines = [
        f"#define PREFIX {prefix}",
        f"#define PROFILES {', '.join(f'&{profile_name(prefix, each)}' for each in profiles(bundle))}",
        *(f"#define {name} policyc_forward_{name}" for name, _ in declared),
        "#define FORWARDS " + " ".join(f"FORWARD({space}, {name})" for name, space in declared),
    ]
    return "\n".join(lines) + "\n"


def _digest(cc: str, said: str, files: Mapping[str, bytes]) -> str:
    from hashlib import sha256

    whole = sha256("\0".join((cc, said, *FLAGS)).encode())
    for name, data in sorted(files.items()):
        whole.update(f"{name}\0".encode() + sha256(data).digest())
    return whole.hexdigest()


def _private(folder: str) -> str | None:
    """The folder, made if need be; None where it is not the user's alone, or cannot be made."""
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError:
        return None
    above = os.path.dirname(folder)
    return folder if _own(folder, stat.S_ISDIR) and _own(above, stat.S_ISDIR) else None


def _own(path: str, kind: Callable[[int], bool]) -> bool:
    """Whether it is the user's, of that kind, and nobody else can write it."""
    try:
        info = os.lstat(path)
    except OSError:
        return False

    return kind(info.st_mode) and info.st_uid == os.geteuid() and not info.st_mode & 0o022


def _build(cc: str, files: Mapping[str, bytes], sources: tuple[str, ...], place: str) -> None:
    """Compile, and put the result in its place whole. Raises UnreadableError with what the compiler says."""
    with tempfile.TemporaryDirectory(prefix="policyc-", dir=os.path.dirname(place)) as folder:
        for name, data in files.items():
            with open(os.path.join(folder, name), "wb") as stream:
                stream.write(data)
        out = os.path.join(folder, "library.so")
        words = [cc, *FLAGS, *(os.path.join(folder, each) for each in sources), "-ldl", "-o", out]
        try:
            done = subprocess.run(words, capture_output=True, timeout=_TIMEOUT, check=False, text=True, cwd=folder)
        except (OSError, subprocess.SubprocessError) as reason:
            raise UnreadableError(f"the library for the VMM cannot be built: {reason}") from None
        if done.returncode != 0:
            said = next((line for line in done.stderr.splitlines() if "error" in line), "it says nothing")
            raise UnreadableError(f"the library for the VMM cannot be built; it needs {HOW}; {cc} says: {said[:300]}")
        os.chmod(out, 0o700)
        os.replace(out, place)
