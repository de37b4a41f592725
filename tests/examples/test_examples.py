"""The examples compile, say so without a complaint, and are written the way the manual advises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policyc.database.names import Database, load
from policyc.pipeline import compile_policy
from policyc.semantics.policy import Variant
from policyc.vocabulary.diagnostic import INFO
from tests.handler.samples import WARNINGS, compiler, run, write_handler

EXAMPLES = Path(__file__).parents[2] / "examples"
MODULES = {"baseline.pol", "jailhouse/cell.pol", "jailhouse/msrs_vmx.pol"}
"""Files that others import: they state no default, so they are not policies of their own."""
CARD = "card.pol"

FILES = sorted(path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.pol"))
POLICIES = [name for name in FILES if name not in MODULES]


@pytest.fixture(scope="module")
def database() -> Database:
    return load()


def text(name: str) -> str:
    return (EXAMPLES / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in POLICIES if name != CARD])
def test_an_example_compiles_without_a_warning(name: str) -> None:
    diagnostics = compile_policy(str(EXAMPLES / name)).diagnostics
    assert [each for each in diagnostics if each.severity != INFO] == []


def test_the_card_is_two_lines_that_stay_valid() -> None:
    assert text(CARD) == "intercept msr 0xc0000080 write\nintercept io 0x3f8..0x3ff\n"


def test_the_card_sets_nine_bits() -> None:
    """EFER's write bit lies in write-high at bit 0x80; COM1's eight ports fill byte 0x7f of bitmap A."""
    vmx = {image.name: image.data for image in compile_policy(str(EXAMPLES / CARD)).images[Variant()]["vmx"]}
    assert [(at, byte) for at, byte in enumerate(vmx["msr.bin"]) if byte] == [(3072 + 0x80 // 8, 1)]
    assert [(at, byte) for at, byte in enumerate(vmx["io.bin"]) if byte] == [(0x7F, 0xFF)]


def test_the_card_is_told_what_it_leaves_out() -> None:
    assert {each.code for each in compile_policy(str(EXAMPLES / CARD)).diagnostics} == {"Y701", "Y702"}


@pytest.mark.parametrize("name", POLICIES)
def test_the_exit_handler_of_an_example_is_clean_c(name: str, tmp_path: Path) -> None:
    compilation = compile_policy(str(EXAMPLES / name))
    source = write_handler(compilation.policy, tmp_path, compilation.targets)
    run([compiler("gcc"), "-std=c11", "-ffreestanding", *WARNINGS, "-fsyntax-only", source])


@pytest.mark.parametrize("name", [name for name in FILES if name != CARD])
def test_an_example_says_what_it_is_and_its_language(name: str) -> None:
    lines = text(name).splitlines()
    first = next(line for line in lines if line and not line.startswith("#"))
    assert first == "language 1"
    assert any(line.startswith("# ") for line in lines[:4])


@pytest.mark.parametrize("name", FILES)
def test_an_example_calls_msrs_and_ports_by_their_canonical_names(name: str, database: Database) -> None:
    code = "\n".join(line.partition("#")[0] for line in text(name).splitlines())
    for word in set(re.findall(r"(?<![\w.])[A-Z]\w+", code)):
        msr, port = database.msr(word), database.port(word)
        entries = (database.msr_entries(msr[0][0]) if msr else ()) + (database.port_entries(port[0][0]) if port else ())
        assert word not in {alias for entry in entries for alias in entry.aliases}


@pytest.mark.parametrize("name", FILES)
def test_lines_fit_120_columns_and_files_end_with_a_newline(name: str) -> None:
    assert max(map(len, text(name).splitlines())) <= 120
    assert text(name).endswith("\n")
    assert not text(name).endswith("\n\n")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_is_imported_by_an_example(name: str) -> None:
    folder, _, file = name.rpartition("/")
    beside = [text(each) for each in POLICIES if each.rpartition("/")[0] == folder]
    assert any(f'import "{file}"' in each for each in beside)


def test_the_readme_names_every_teaching_example() -> None:
    readme = text("README.md")
    assert [name for name in FILES if "/" not in name and f"({name})" not in readme] == []
