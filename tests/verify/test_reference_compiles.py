"""The reference hypervisor and the handler's driver are accepted without a warning by both compilers."""

from __future__ import annotations

from pathlib import Path

import pytest

from policyc.emitters import ctext
from policyc.verify.rom import FLAGS
from tests.handler.samples import WARNINGS, compiler, everything, run, write_handler

RUNTIME = Path(__file__).parents[2] / "runtime"
COMPILE = [each for each in FLAGS if not each.startswith(("-Wl", "-nostdlib", "-static"))]


@pytest.mark.parametrize("target", ["VMX", "SVM"])
@pytest.mark.parametrize("name", ["gcc", "clang"])
def test_the_reference_hypervisor_with_a_handler_compiles_without_a_warning(
    name: str, target: str, tmp_path: Path
) -> None:
    policy = everything()
    handler = write_handler(policy, tmp_path, ("vmx", "svm"))
    forwards = ctext.forwards((tmp_path / "exit_handler.h").read_text())
    assert forwards
    prefix = ctext.prefix(policy.name)
    (tmp_path / "glue.h").write_text(
        f'#include "exit_handler.h"\n#define TARGET_{target}\n#define TYPE(name) {prefix}_##name\n'
        f"#define FUNCTION(name) {prefix}_##name\n#define PROFILES &{prefix}_base\n#define VCPU 0u\n"
        f"#define HANDLERS {' '.join(f'FORWARD_{space.upper()}({each})' for each, space in forwards)}\n"
    )
    sources = [*sorted((RUNTIME / "reference").glob("*.[cS]")), handler]
    for source in sources:
        run([compiler(name), *COMPILE, *WARNINGS, "-I", tmp_path, "-c", source, "-o", tmp_path / "out.o"])


def test_the_runtime_s_c_is_ascii_of_80_columns() -> None:
    for path in sorted(RUNTIME.rglob("*.[chS]")):
        text = path.read_bytes().decode("ascii")
        assert [line for line in text.splitlines() if len(line.expandtabs(8)) > 80 or line != line.rstrip()] == [], path
