"""A policy with something of everything, for the commands that read one."""

from __future__ import annotations

from pathlib import Path

TEXT = """\
language 1
target vmx, svm

let const EFER_RO = 0x400 | 0x100

default passthrough
default msr outside -> inject(gp)

intercept msr 0xc0000080 write
intercept io 0x3f8..0x3ff
efer: override intercept msr IA32_EFER write -> log, mask(and=~EFER_RO)
intercept msr { 0x1b, 0x3a } rw -> inject(gp)
intercept io 0xcf8 len 8 out width 4 when value & 0x80000000 != 0 -> forward(vpci)
intercept io 0x64 out -> kill
intercept io 0x70 len 2 out on vcpu 0 -> count

profile hardened {
    deny msr IA32_DEBUGCTL write
}

assert intercepted msr IA32_EFER write
never allow msr 0x3a

test "serial" {
    out 0x3f8 width 1 value 0x41 => exit
    in 0x3fb width 4 => exit
}
test "efer" {
    rdmsr IA32_EFER => passthrough
}
"""


def write(folder: Path, extra: str = "", name: str = "vm.pol") -> str:
    """The path of the policy with further lines at its end."""
    path = folder / name
    path.write_text(TEXT + extra)
    return str(path)


def line_of(words: str) -> int:
    """The number of the line that holds the words, which must be one."""
    (number,) = [number for number, line in enumerate(TEXT.splitlines(), 1) if words in line]
    return number
