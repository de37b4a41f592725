"""Static analysers and sanitizers find nothing in the generated C, and hostile exits do no harm."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.demand import need
from tests.handler.harness import Harness, requests
from tests.handler.samples import compiler, everything, run, write_handler

HERE = Path(__file__).parent
FUZZ_RUNS = 200_000
ASAN, FUZZER = "libclang_rt.asan-x86_64.a", "libclang_rt.fuzzer-x86_64.a"
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TIDY = ("--quiet", "--checks=-*,bugprone-*", "--warnings-as-errors=*")
CPPCHECK = ("--enable=warning,style,performance,portability", "--inconclusive", "--error-exitcode=1", "--std=c11", "-q")


def tool(name: str) -> str:
    found = shutil.which(name)
    need(name, found is not None, f"apt-get install {name}")
    assert found is not None
    return found


def test_clang_tidy_finds_no_proneness_to_bugs(tmp_path) -> None:
    source = write_handler(everything(), tmp_path)
    run([tool("clang-tidy"), *TIDY, source, "--", "-std=c11"])
    (tmp_path / "bad.c").write_text("int f(int a, int b) { return a == b ? a : a; }\n", encoding="ascii")
    done = subprocess.run([tool("clang-tidy"), *TIDY, tmp_path / "bad.c", "--"], capture_output=True, check=False)
    assert done.returncode != 0, "clang-tidy finds nothing in anything"


def test_cppcheck_finds_nothing(tmp_path) -> None:
    source = write_handler(everything(), tmp_path)
    run([tool("cppcheck"), *CPPCHECK, source])
    (tmp_path / "bad.c").write_text("int f(void) { int a[2]; return a[2]; }\n", encoding="ascii")
    done = subprocess.run([tool("cppcheck"), *CPPCHECK, tmp_path / "bad.c"], capture_output=True, check=False)
    assert done.returncode != 0, "cppcheck finds nothing in anything"


def test_nothing_is_suppressed_in_the_code(tmp_path) -> None:
    source = write_handler(everything(), tmp_path)
    for text in (source.read_text(encoding="ascii"), (tmp_path / "exit_handler.h").read_text(encoding="ascii")):
        assert not [word for word in ("NOLINT", "cppcheck-suppress", "#pragma", "__attribute__") if word in text]


def sanitizing(name: str, library: str) -> str:
    """A compiler that has the library it needs for a sanitizer."""
    found = compiler(name)
    place = Path(run([found, f"-print-file-name={library}"]).strip())
    if name == "clang":
        place = Path(run([found, "-print-runtime-dir"]).strip()) / library
    need("clang" if name == "clang" else "cc", place.exists(), "apt-get install libclang-rt-dev, or libasan")
    return found


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_every_access_runs_clean_under_the_address_and_undefined_behaviour_sanitizers(cc, tmp_path) -> None:
    sanitizing(cc, "libasan.so" if cc == "gcc" else ASAN)
    harness = Harness(everything(), tmp_path, cc=cc, flags=SANITIZERS)
    asked = requests(targets=("vmx",), cpls=(3,)) + requests(targets=("svm", "kvm"), cpls=(0,), forms=("rep",))
    for variant in harness.variants[:2]:
        assert harness.mismatches(variant, asked) == []


def test_libfuzzer_finds_no_exit_registers_or_answers_that_break_a_promise(tmp_path) -> None:
    source = write_handler(everything(), tmp_path)
    flags = ("-std=c11", "-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
    program = tmp_path / "fuzz"
    run([sanitizing("clang", FUZZER), *flags, "-I", tmp_path, HERE / "fuzz.c", source, "-o", program])
    run([program, f"-runs={FUZZ_RUNS}", "-seed=1", "-max_len=256", "-verbosity=0"], cwd=tmp_path)


def test_random_exits_registers_and_answers_break_no_promise_without_libfuzzer(tmp_path) -> None:
    source = write_handler(everything(), tmp_path)
    program = tmp_path / "fuzz"
    files = (HERE / "fuzz.c", HERE / "fuzz_main.c", source)
    run([sanitizing("gcc", "libasan.so"), "-std=c11", *SANITIZERS, "-I", tmp_path, *files, "-o", program])
    run([program, str(FUZZ_RUNS)])
