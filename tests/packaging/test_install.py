"""Wheel, source distribution, editable install and checkout all give the same policyc, each in a fresh environment."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from tests.demand import need

ROOT = Path(__file__).parents[2]
POLICY = ROOT / "examples" / "quickstart.pol"
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV", "POLICYC"))}
OUTPUT = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}


def run(*command: str | Path, cwd: Path, path: Path | None = None) -> str:
    extra = {} if path is None else {"PYTHONPATH": str(path)}
    done = subprocess.run([str(each) for each in command], cwd=cwd, env=CLEAN | extra, **OUTPUT, check=False)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return str(done.stdout)


def bundle_digest(policyc: list[str | Path], cwd: Path, path: Path | None = None) -> str:
    run(*policyc, "compile", POLICY, "-o", cwd / "vm.bundle", cwd=cwd, path=path)
    total = sha256()
    for file in sorted((cwd / "vm.bundle").rglob("*")):
        if file.is_file():
            total.update(file.relative_to(cwd).as_posix().encode() + b"\0" + file.read_bytes())
    return total.hexdigest()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dist/ with a wheel (made from the source distribution) and the source distribution."""
    pytest.importorskip("build", reason="needs the test extra: pip install -e '.[test]'")
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    return out


@pytest.fixture(scope="module")
def checkout_digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    return bundle_digest([sys.executable, "-m", "policyc"], tmp_path_factory.mktemp("checkout"), ROOT)


@pytest.fixture
def environment(tmp_path: Path) -> Callable[..., Path]:
    def make(*what: str | Path) -> Path:
        folder = tmp_path / "venv"
        run(sys.executable, "-m", "venv", folder, cwd=tmp_path)
        command = [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *what]
        done = subprocess.run([str(each) for each in command], cwd=tmp_path, env=CLEAN, **OUTPUT, check=False)  # type: ignore[call-overload]
        offline = "Could not find a version" in done.stdout or "NewConnectionError" in done.stdout
        need("registry", not offline, "pip must reach a package registry")
        assert done.returncode == 0, done.stdout
        return folder

    return make


def test_the_wheel_holds_all_that_the_commands_read_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for file in (
        "policyc/grammars/policy.lark",
        "policyc/std/serial.pol",
        "policyc/database/_index.py",
        "policyc/py.typed",
        "policyc/runtime/preload/preload.c",
    ):
        assert file in names
    assert any(name.startswith("policyc/templates/") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "examples/")) or "__pycache__" in name]


def test_what_the_wheel_has_precompiled_is_of_the_very_files_beside_it(built: Path, tmp_path: Path) -> None:
    """Each generated module names the hash of what it was made from; the wheel brings both."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "from policyc.database import _index, generate; from policyc.emitters import _templates; from policyc.syntax import _tables;"
        "print(_tables.GRAMMAR, _index.SOURCES, generate.digest(generate.sources()), len(generate.sources()), *_templates.DIGESTS.values())"
    )
    grammar, index, yaml, files, *templates = run(sys.executable, "-c", code, cwd=tmp_path, path=tmp_path).split()
    package = tmp_path / "policyc"
    assert grammar == sha256((package / "grammars" / "policy.lark").read_bytes()).hexdigest()
    assert index == yaml
    assert int(files) == len([*package.glob("database/msr/*.yaml"), *package.glob("database/port/*.yaml")]) > 10
    jinja = sorted((package / "templates" / "exit_handler").glob("*.jinja"))
    assert templates == [sha256(each.read_bytes()).hexdigest() for each in jinja]


def test_the_source_distribution_has_the_tests_and_what_they_read(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    tracked = run("git", "ls-files", cwd=ROOT).splitlines() if (ROOT / ".git").exists() else []
    assert [name for name in tracked if name not in names and name != ".gitignore"] == []
    assert {"pyproject.toml", "README.md", "LICENSE", "tests/packaging/test_install.py"} <= names


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_an_installed_policyc_writes_the_same_bundle_as_the_checkout(
    kind: str, built: Path, environment: Callable[..., Path], checkout_digest: str, tmp_path: Path
) -> None:
    if kind == "editable":
        folder = environment("--editable", ROOT)
    else:
        (file,) = built.glob("*.whl" if kind == "wheel" else "*.tar.gz")
        folder = environment(file)
    assert bundle_digest([folder / "bin" / "policyc"], tmp_path) == checkout_digest


def test_the_environment_is_quick_where_python_may_not_write_bytecode(built: Path, tmp_path: Path) -> None:
    """With PYTHONDONTWRITEBYTECODE, as in containers, nobody else would ever compile the modules of a checkout."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path)  # our own; Debian 12's Python 3.11.2 has no `filter` yet
    root = tmp_path / sdist.name.removesuffix(".tar.gz")
    command = ["sh", str(root / "dev" / "env"), "policyc", "--version"]
    environ = CLEAN | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHON": sys.executable}
    done = subprocess.run(command, cwd=tmp_path, env=environ, **OUTPUT, check=False)  # type: ignore[call-overload]
    offline = "Could not find a version" in done.stdout or "NewConnectionError" in done.stdout
    need("registry", not offline, "pip must reach a package registry")
    assert done.returncode == 0, done.stdout
    sources = [*(root / "policyc").rglob("*.py")]
    assert len(sources) > 100
    assert [each for each in sources if not Path(importlib.util.cache_from_source(str(each))).exists()] == []
