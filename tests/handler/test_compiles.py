"""The generated C is accepted, without a warning, by every compiler and language that it promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from policyc.semantics.policy import STRICTNESS
from tests.docs.console import File, steps
from tests.handler.samples import TARGETS, WARNINGS, compiler, everything, run, write_handler
from tests.semantics.policies import make

ROOT = Path(__file__).parents[2]
C11 = ("-std=c11", "-ffreestanding", *WARNINGS)


@pytest.mark.parametrize("machine", ["-m64", "-m32"])
@pytest.mark.parametrize("name", ["gcc", "clang"])
def test_every_optimisation_level_compiles_without_a_warning(name: str, machine: str, tmp_path: Path) -> None:
    source = write_handler(everything(), tmp_path)
    for level in ("-O0", "-O2", "-Os"):
        run([compiler(name), *C11, machine, level, "-c", source, "-o", tmp_path / "out.o"])


@pytest.mark.parametrize("name", ["g++", "clang++"])
def test_it_is_also_cplusplus_17(name: str, tmp_path: Path) -> None:
    source = write_handler(everything(), tmp_path)
    run([compiler(name), "-x", "c++", "-std=c++17", *WARNINGS, "-O2", "-c", source, "-o", tmp_path / "out.o"])


@pytest.mark.parametrize("targets", [("vmx",), ("svm",), ("kvm",), TARGETS])
def test_each_choice_of_targets_compiles_even_for_a_policy_without_rules(
    targets: tuple[str, ...], tmp_path: Path
) -> None:
    source = write_handler(make(), tmp_path, targets)
    run([compiler("gcc"), *C11, "-O2", "-c", source, "-o", tmp_path / "out.o"])


KERNEL = """\
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
typedef u8 uint8_t; typedef u16 uint16_t; typedef u32 uint32_t; typedef u64 uint64_t; typedef long long int64_t;
typedef unsigned long size_t; typedef _Bool bool;
enum { false, true };
#define NULL ((void *)0)
"""
"""What linux/types.h and linux/stddef.h say of these names on 64-bit machines."""


@pytest.mark.parametrize("name", ["gcc", "clang"])
def test_the_headers_of_the_integration_page_stand_in_for_those_that_linux_lacks(name: str, tmp_path: Path) -> None:
    shim, linux = tmp_path / "shim", tmp_path / "linux"
    for folder in (shim, linux):
        folder.mkdir()
    for step in steps((ROOT / "docs/integration.md").read_text(encoding="utf-8")):
        assert isinstance(step, File)
        (shim / step.name).write_text(step.text, encoding="utf-8")
    (linux / "types.h").write_text(f"#ifndef KERNEL\n#define KERNEL\n{KERNEL}#endif\n", encoding="utf-8")
    (linux / "stddef.h").write_text("#include <linux/types.h>\n", encoding="utf-8")
    write_handler(everything(), tmp_path)
    kernel = ("-nostdinc", "-std=gnu11", "-ffreestanding", "-mno-sse", "-mno-red-zone", f"-I{tmp_path}", f"-I{shim}")
    user = tmp_path / "user.c"
    user.write_text('#include <linux/types.h>\n#include "exit_handler.h"\n', encoding="utf-8")
    for source in (tmp_path / "exit_handler.c", user, *sorted((ROOT / "runtime/apply").glob("*.c"))):
        run([compiler(name), *kernel, "-Wall", "-Wextra", "-Werror", "-O2", "-c", source, "-o", tmp_path / "out.o"])


def test_the_actions_in_c_are_in_the_order_of_strictness() -> None:
    text = (ROOT / "templates/exit_handler/types.h").read_text(encoding="ascii")
    body = text.split("enum policyc_action {")[1].split("}")[0]
    assert [word.strip().removeprefix("POLICYC_ACT_").lower() for word in body.split(",")] == list(STRICTNESS)


def test_lines_are_at_most_80_columns_and_plain_ascii(tmp_path: Path) -> None:
    write_handler(everything("a policy with a rather long name, of which 24 are kept"), tmp_path)
    for name in ("exit_handler.c", "exit_handler.h"):
        text = (tmp_path / name).read_bytes().decode("ascii")
        assert [line for line in text.splitlines() if len(line.expandtabs(8)) > 80] == []
        assert [line for line in text.splitlines() if line != line.rstrip()] == []
