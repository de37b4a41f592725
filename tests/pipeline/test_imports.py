"""What an import may lead to, and what a policy says when it leads elsewhere."""

from __future__ import annotations

import io
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from policyc.pipeline import Front, front
from policyc.vocabulary.diagnostic import Diagnostic, PolicyError, UnreadableError
from tests.pipeline.nameless import Nameless

HEAD = "language 1\ndefault passthrough\n"
MODULE = "language 1\nlet io PORTS = 0x3f8..0x3ff\nintercept io PORTS\n"


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.pol"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def read(path: str | os.PathLike[str]) -> Front:
    return front(str(path), database=Nameless())


def refusal(folder: Path, statement: str) -> Diagnostic:
    """The one error that a main file with this import gives."""
    (folder / "vm.pol").write_text(HEAD + statement + "\n")
    with pytest.raises(PolicyError) as caught:
        read(folder / "vm.pol")
    errors = [each for each in caught.value.diagnostics if each.severity == "error"]
    assert len(errors) == 1
    assert errors[0].primary is not None
    return errors[0]


def test_modules_are_recorded_relative_to_the_main_file_whatever_the_command_line_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, vm=HEAD + 'import "dev/a.pol"\n', dev__a='language 1\nimport "../b.pol"\n' + MODULE[11:], b=MODULE)
    monkeypatch.chdir(tmp_path / "dev")
    for spelling in (str(tmp_path / "vm.pol"), "../vm.pol", "./../vm.pol"):
        found = read(spelling)
        assert [each.path for each in found.policy.modules] == ["vm.pol", "dev/a.pol", "b.pol"]
        assert [each.path for each in found.sources] == ["vm.pol", "dev/a.pol", "b.pol"]
        assert found.policy.name == "vm"
        assert found.policy.modules[1].name == spelling.removesuffix("vm.pol") + "dev/a.pol"


def test_sources_carry_size_and_hash_of_the_bytes_as_read(tmp_path: Path) -> None:
    import hashlib

    data = b"\xef\xbb\xbf" + HEAD.encode() + b"# caf\xc3\xa9\r\n"
    (tmp_path / "vm.pol").write_bytes(data)
    assert read(tmp_path / "vm.pol").sources == (("vm.pol", len(data), hashlib.sha256(data).hexdigest()),)


def test_one_module_imported_by_two_others_is_read_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        vm=HEAD + 'import "a.pol"\nimport "b.pol"\n',
        a='import "c.pol"\n',
        b='import "c.pol"\n',
        c=MODULE,
    )
    assert [each.path for each in read(tmp_path / "vm.pol").policy.modules] == ["vm.pol", "a.pol", "c.pol", "b.pol"]


def test_standard_input_imports_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, a=MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((HEAD + 'import "a.pol"\n').encode())))
    found = read("-")
    assert [each.path for each in found.policy.modules] == ["<stdin>", "a.pol"]
    assert found.policy.name == "stdin"


def test_bundled_modules_are_found_from_any_folder_and_hide_a_local_folder_of_that_name(tmp_path: Path) -> None:
    write(tmp_path, vm=HEAD + 'import "std/serial.pol"\nimport "./std/serial.pol" as own\n', std__serial=MODULE)
    found = read(tmp_path / "vm.pol")
    assert [each.path for each in found.policy.modules] == ["vm.pol", "std/serial.pol", "./std/serial.pol"]
    assert found.policy.modules[1].name == "std/serial.pol"
    assert "COM1" in found.policy.modules[1].source.text
    assert found.policy.modules[2].source.text == MODULE


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("missing.pol", "E036"),
        ("", "E036"),
        ("dev/", "E036"),
        ("vm.pol/x.pol", "E036"),
        ("std/missing.pol", "E036"),
        ("/etc/passwd", "E073"),
        ("/dev/zero", "E073"),
        ("../secret.pol", "E073"),
        ("dev/../../secret.pol", "E073"),
        ("nowhere/../../secret.pol", "E073"),
        ("std/../pipeline.py", "E073"),
        ("std/../../pyproject.toml", "E073"),
        ("outside.pol", "E073"),
        ("elsewhere/secret.pol", "E073"),
        ("dev", "E003"),
        ("pipe.pol", "E003"),
        ("socket.pol", "E003"),
        ("huge.pol", "E003"),
        ("x" * 300, "E003"),
        ("loop.pol", "E003"),
        ("dangling.pol", "E036"),
        ("a.pol", "E072"),
        ("./dev/a.pol", "E072"),
        ("dev//a.pol", "E072"),
        ("hard.pol", "E072"),
        ("vm.pol", "E042"),
        ("self.pol", "E042"),
        ("binary.pol", "E002"),
        ("utf16.pol", "E002"),
    ],
)
def test_an_import_that_leads_astray_is_refused_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, code: str
) -> None:
    (tmp_path / "secret.pol").write_text(MODULE)
    root = tmp_path / "policies"
    write(root, dev__a=MODULE)
    (root / "outside.pol").symlink_to(tmp_path / "secret.pol")
    (root / "elsewhere").symlink_to(tmp_path)
    (root / "a.pol").symlink_to("dev/a.pol")
    (root / "hard.pol").hardlink_to(root / "dev" / "a.pol")
    (root / "self.pol").symlink_to("vm.pol")
    (root / "loop.pol").symlink_to("loop.pol")
    (root / "dangling.pol").symlink_to("nowhere.pol")
    (root / "binary.pol").write_bytes(bytes(4096))
    (root / "utf16.pol").write_bytes("language 1\n".encode("utf-16"))
    os.mkfifo(root / "pipe.pol")
    with (root / "huge.pol").open("wb") as stream:
        stream.truncate(1 << 40)
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.pol")
        first = 'import "dev/a.pol" as first\n' if code == "E072" else ""
        found = refusal(root, f'{first}import "{path}" as other')
    assert found.code == code
    assert found.primary is not None
    if code != "E002":
        assert found.primary.span.source.name == str(root / "vm.pol")
        assert found.primary.span.text == f'"{path}"'
        assert (found.primary.span.line, found.primary.span.column) == (4 if first else 3, 8)


@contextmanager
def nobody() -> Iterator[None]:
    """Root may read everything: be somebody else for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(user)


def test_a_module_that_may_not_be_read_says_so() -> None:
    with TemporaryDirectory(prefix="policyc-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        write(folder, a=MODULE)
        (folder / "a.pol").chmod(0)
        assert refusal(folder, 'import "b.pol"').code == "E036"  # loads what nobody may be unable to
        (folder / "vm.pol").unlink()
        with nobody():
            assert refusal(folder, 'import "a.pol"').code == "E003"


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("serail.pol", "serial.pol"),
        ("serial", "serial.pol"),
        ("dev/uatr.pol", "dev/uart.pol"),
        ("std/serail.pol", "std/serial.pol"),
    ],
)
def test_a_misspelt_import_names_the_file_that_is_there(tmp_path: Path, path: str, meant: str) -> None:
    write(tmp_path, serial=MODULE, dev__uart=MODULE)
    found = refusal(tmp_path, f'import "{path}" as x')
    assert found.code == "E036"
    assert found.helps[0] == f'did you mean "{meant}"?'


def test_a_backslash_between_folders_is_explained(tmp_path: Path) -> None:
    write(tmp_path, dev__uart=MODULE)
    found = refusal(tmp_path, r'import "dev\\uart.pol" as x')
    assert found.helps[0] == 'folders are parted by `/`: "dev/uart.pol"'


def test_mistakes_inside_a_module_are_reported_in_that_file(tmp_path: Path) -> None:
    write(tmp_path, dev__bad="language 1\nintercept io 0x10000\n")
    found = refusal(tmp_path, 'import "dev/bad.pol"')
    assert found.code == "E022"
    assert found.primary is not None
    assert found.primary.span.source.name == str(tmp_path / "dev" / "bad.pol")
    assert (found.primary.span.line, found.primary.span.column) == (2, 14)


def test_a_module_of_undecodable_bytes_is_reported_in_that_file(tmp_path: Path) -> None:
    (tmp_path / "latin.pol").write_bytes(b"# caf\xe9\n")
    found = refusal(tmp_path, 'import "latin.pol"')
    assert found.code == "E002"
    assert found.primary is not None
    assert found.primary.span.source.name == str(tmp_path / "latin.pol")


def test_modules_that_are_too_large_together_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policyc.imports.MAX_TOTAL", 3 * len(MODULE))
    statements = []
    for number in range(5):
        (tmp_path / f"m{number}.pol").write_text(MODULE)
        statements.append(f'import "m{number}.pol"')
    (tmp_path / "vm.pol").write_text(HEAD + "\n".join(statements) + "\n")
    with pytest.raises(PolicyError) as caught:
        read(tmp_path / "vm.pol")
    found = [(each.code, each.primary.span.text) for each in caught.value.diagnostics if each.primary]
    assert found == [("E004", '"m3.pol"'), ("E004", '"m4.pol"')]


@pytest.mark.parametrize("path", ["missing.pol", "", ".", "/dev/zero", "pipe", "a\0b"])
def test_the_file_of_the_command_line_itself_is_unreadable_not_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnreadableError, match="cannot read"):
        read(path)
