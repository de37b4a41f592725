"""Small bundles, made by a compile of a policy that a person might write."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from policyc.pipeline import Compilation, compile_policy
from policyc.targets.base import Image

POLICY = """\
language 1
target vmx, svm
default passthrough
com1: intercept io 0x3f8..0x3ff -> log(rate=5)
intercept msr 0xc0000080 write
allow io 0x3f9
intercept io 0x64 out when value == 0xfe -> kill
intercept io 0x70 len 2 on vcpu 1..3 -> count

profile hardened {
    deny msr 0x1d9 write
}
"""


@cache
def _compiled(text: str) -> Compilation:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vm.pol"
        path.write_text(text)
        return compile_policy(str(path))


def compiled(text: str = POLICY) -> Compilation:
    return _compiled(text)


def files(text: str = POLICY) -> tuple[Image, ...]:
    return compiled(text).files


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by relative path."""
    return {str(each.relative_to(folder)): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()}
