"""Every example's handler does what the evaluator says; the consumers beside the examples build and run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from policyc.pipeline import check_policy
from tests.handler.harness import Harness, requests
from tests.handler.samples import WARNINGS, compiler, run

ROOT = Path(__file__).parents[2]
IMPORTED = ("baseline.pol",)
"""Rules for other policies to import; they do not compile by themselves."""
EXAMPLES = sorted(path for path in (ROOT / "examples").rglob("*.pol") if path.name not in IMPORTED)
CONSUMERS = ROOT / "examples" / "consumers"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_decided_as_the_evaluator_does(path, tmp_path) -> None:
    checked = check_policy(str(path))
    harness = Harness(checked.policy, tmp_path)
    asked = requests(targets=("vmx",), cpls=(3,), values=(0x8000_0000_8000_0041,), forms=("plain",))
    assert harness.mismatches(harness.variants[-1], asked) == []


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_decided_alike_on_all_targets_with_strings_and_several_values(path, tmp_path) -> None:
    harness = Harness(check_policy(str(path)).policy, tmp_path)
    for variant in harness.variants:
        assert harness.mismatches(variant, requests(values=(0x8000_0000_8000_0041, 0, 0x2000, 6))) == []


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("consumers") / "console.bundle"
    command = [sys.executable, "-m", "policyc", "compile", str(CONSUMERS / "console.pol"), "-o", str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return folder


@pytest.mark.parametrize("name", ["gcc", "clang"])
def test_the_c_consumer_includes_the_header_and_links(name, bundle, tmp_path) -> None:
    source = CONSUMERS / "c" / "main.c"
    program = tmp_path / "consumer"
    flags = ("-std=c11", "-Wno-missing-field-initializers", *WARNINGS)
    run([compiler(name), *flags, "-I", bundle, source, bundle / "exit_handler.c", "-o", program])
    assert run([program]).splitlines() == [
        "console.pol:13: 0xc0000080 = 0xffffffff (0 more)",
        "wrmsr 0xc0000080 0x501",
        "exception 13",
        "out 0xcf8",
        "console: hi (2 accesses), rip 6",
    ]


def test_the_rust_consumer_takes_only_the_tables(bundle, tmp_path) -> None:
    rustc = shutil.which("rustc")
    if rustc is None:
        pytest.skip("needs rustc: apt-get install rustc")
    run([compiler("gcc"), "-std=c11", "-ffreestanding", "-c", bundle / "exit_handler.c", "-o", tmp_path / "handler.o"])
    source = CONSUMERS / "rust" / "main.rs"
    link = f"link-arg={tmp_path / 'handler.o'}"
    run([rustc, "--edition", "2021", "-D", "warnings", "-C", link, source, "-o", tmp_path / "consumer"], cwd=tmp_path)
    assert run([tmp_path / "consumer"]).splitlines() == [
        "out 0x3f8: forward (console.pol:10), running: forward (console.pol:10)",
        "in 0x64: passthrough (console.pol:6), running: passthrough (console.pol:6)",
        "out 0x64: drop (console.pol:16), running: drop (console.pol:16)",
        "wrmsr 0x1b: inject (console.pol:18), running: inject (console.pol:18)",
        "wrmsr 0xc0000080: mask (console.pol:13), running: mask (console.pol:13)",
        "out 0xcf8: passthrough (console.pol:6), running: drop (console.pol:22)",
    ]
