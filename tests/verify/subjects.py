"""Bundles whose images an emulator executes, and what a test needs for that."""

from __future__ import annotations

import random
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from policyc.bundle.read import Bundle, load
from policyc.bundle.write import write_bundle
from policyc.proof.rows import SIZES, strips
from policyc.verify.emulated import EMULATED, Emulated
from policyc.verify.rom import HOW, compiler
from policyc.verify.subjects import IO_IMAGE, MSR_IMAGE, Subject, subjects
from tests.bundle.bundles import compiled
from tests.demand import need

POLICY = """\
language 1
target vmx, svm
default passthrough
com1: intercept io 0x3f8..0x3ff
intercept io 0x4000..0x5fff
intercept io 0x7ffe..0x8001 out
intercept io 0xfffe
intercept msr 0x400..0x7ff read
intercept msr 0xc0000080 write
intercept msr 0xc0000100..0xc0000102
allow io 0x3fa
intercept io 0x64 out when value == 0xfe -> kill

profile hardened {
    deny msr 0x1d9 write
}
"""


def need_for(executor: Emulated) -> None:
    need("cc", compiler() is not None, HOW)
    if executor.name.startswith("bochs"):
        need("bochs", shutil.which("bochs") is not None, "apt install bochs bochs-term")
    else:
        need("qemu", shutil.which("qemu-system-x86_64") is not None, "apt install qemu-system-x86")


def executor(name: str) -> Emulated:
    return next(each for each in EMULATED if each.name == name)


@cache
def bundle(text: str = POLICY) -> Bundle:
    folder = Path(mkdtemp()) / "vm.bundle"
    write_bundle(str(folder), compiled(text).files)
    return load(str(folder))


def subject(target: str, text: str = POLICY) -> Subject:
    """The base policy's images."""
    return subjects(bundle(text), target)[0]


def consulted_bits(image: str, count: int, seed: int) -> list[int]:
    """Positions of bits that hardware reads, chosen at random; those of ports at least 8 apart."""
    everywhere = [
        strip.start + at * strip.step for strip in strips(image) for at in range(strip.last - strip.first + 1)
    ]
    picked = random.Random(seed).sample(everywhere, 4 * count)
    chosen: list[int] = []
    for position in picked:
        if len(chosen) < count and all(abs(position - each) >= 8 for each in chosen):
            chosen.append(position)
    return chosen


def flipped(made: Subject, positions: dict[str, list[int]]) -> Subject:
    """The same with bits of its images turned over."""

    def turn(image: str, data: bytes) -> bytes:
        out = bytearray(data)
        assert len(out) == SIZES[image]
        for position in positions.get(image, ()):
            out[position // 8] ^= 1 << position % 8
        return bytes(out)

    return made._replace(
        msr=turn(MSR_IMAGE[made.target], made.msr),
        io=turn(IO_IMAGE[made.target], made.io),
    )
