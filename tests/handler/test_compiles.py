"""The generated C is accepted, without a warning, by every compiler and language that it promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from policyc.semantics.policy import STRICTNESS
from tests.handler.samples import TARGETS, WARNINGS, compiler, everything, run, write_handler
from tests.semantics.policies import make

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


def test_the_actions_in_c_are_in_the_order_of_strictness() -> None:
    text = (Path(__file__).parents[2] / "templates/exit_handler/types.h").read_text(encoding="ascii")
    body = text.split("enum policyc_action {")[1].split("}")[0]
    assert [word.strip().removeprefix("POLICYC_ACT_").lower() for word in body.split(",")] == list(STRICTNESS)


def test_lines_are_at_most_80_columns_and_plain_ascii(tmp_path: Path) -> None:
    write_handler(everything("a policy with a rather long name, of which 24 are kept"), tmp_path)
    for name in ("exit_handler.c", "exit_handler.h"):
        text = (tmp_path / name).read_bytes().decode("ascii")
        assert [line for line in text.splitlines() if len(line.expandtabs(8)) > 80] == []
        assert [line for line in text.splitlines() if line != line.rstrip()] == []
