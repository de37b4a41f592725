"""Other compilers of rules, each given a job of as many rules: the yardsticks beside policyc in ``bench.startup``.

minijail's compile_seccomp_policy would belong here too, and no registry has it. A peer that is not installed is left out.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import NamedTuple


class Peer(NamedTuple):
    """One of them. get: how to install it. job: writes the input of so many rules into a folder, and gives the words."""

    program: str
    get: str
    does: str
    version: tuple[str, ...]
    job: Callable[[Path, int], list[str]]

    def name(self) -> str:
        """``dtc 1.6.1: a device tree``."""
        said = subprocess.run(self.version, capture_output=True, text=True, check=False)
        found = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
        return f"{self.program} {found.group() if found else '(version unknown)'}: {self.does}"


def installed() -> list[Peer]:
    return [peer for peer in PEERS if which(peer.program)]


def missing() -> list[str]:
    return [f"{peer.program} ({peer.get})" for peer in PEERS if not which(peer.program)]


_CIL = """\
(handleunknown allow)
(mls false)
(sid kernel)
(sidorder (kernel))
(class device (read write ioctl))
(classorder (device))
(role guest)
(user vm)
(type host)
(userrole vm guest)
(roletype guest host)
(sidcontext kernel (vm guest host ((s0) (s0))))
(sensitivity s0)
(sensitivityorder (s0))
(userlevel vm (s0))
(userrange vm ((s0) (s0)))
"""


def _secilc(folder: Path, rules: int) -> list[str]:
    allowed = "".join(
        f"(type t{n})(roletype guest t{n})(allow t{n} host (device (read ioctl)))\n" for n in range(rules)
    )
    (folder / "peer.cil").write_text(_CIL + allowed, encoding="ascii")
    return ["secilc", "-o", str(folder / "peer.policy"), "-f", str(folder / "peer.contexts"), str(folder / "peer.cil")]


def _dtc(folder: Path, rules: int) -> list[str]:
    nodes = "".join(f'\tdevice@{n:x} {{ compatible = "v,d{n}"; reg = <{n:#x} 8>; }};\n' for n in range(rules))
    (folder / "peer.dts").write_text(f"/dts-v1/;\n/ {{\n{nodes}}};\n", encoding="ascii")
    return ["dtc", "-q", "-o", str(folder / "peer.dtb"), str(folder / "peer.dts")]


def _ruff(folder: Path, rules: int) -> list[str]:
    lines = "".join(f"RULE_{n} = (0x{n:x}, 'read', {n})\n" for n in range(rules))
    (folder / "peer.py").write_text(lines, encoding="ascii")
    return ["ruff", "check", "--quiet", "--isolated", "--no-cache", str(folder / "peer.py")]


def _peakrdl(folder: Path, rules: int) -> list[str]:
    registers = "".join(f"    reg {{ field {{ sw=rw; hw=r; }} v[31:0]; }} r{n} @ {n * 4};\n" for n in range(rules))
    (folder / "peer.rdl").write_text(f"addrmap top {{\n{registers}}};\n", encoding="ascii")
    return ["peakrdl", "c-header", str(folder / "peer.rdl"), "-o", str(folder / "peer.h")]


PEERS = (
    Peer("dtc", "apt-get install device-tree-compiler", "a device tree", ("dtc", "--version"), _dtc),
    Peer("secilc", "apt-get install secilc", "an SELinux policy", ("dpkg-query", "-W", "secilc"), _secilc),
    Peer("ruff", "pip install ruff", "lint of Python", ("ruff", "--version"), _ruff),
    Peer("peakrdl", "pip install peakrdl-cli peakrdl-cheader", "a C header", ("peakrdl", "--version"), _peakrdl),
)
