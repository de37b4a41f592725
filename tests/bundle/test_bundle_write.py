"""A bundle is on the disk whole or not at all, and nothing that is not a bundle is ever replaced."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from policyc.bundle import read, write
from policyc.bundle.read import load
from policyc.bundle.write import write_bundle
from policyc.targets.base import Image
from policyc.vocabulary.diagnostic import UnreadableError
from tests.bundle.bundles import POLICY, files, tree

OTHER = POLICY.replace("0x3f9", "0x3fa")


def contents(images: tuple[Image, ...]) -> dict[str, bytes]:
    return {each.name: each.data for each in images}


def small(data: bytes) -> tuple[Image, ...]:
    """The least that is taken for a bundle, with a folder in it."""
    names = ("a.bin", "sub/b.bin")
    entries = [{"path": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name in names]
    manifest = json.dumps({"format_version": 1, "policyc": "0", "files": entries}).encode()
    return (*(Image(name, data) for name in names), Image("manifest.json", manifest))


OLD, NEW = files(), files(OTHER)
SMALL_OLD, SMALL_NEW = small(b"old"), small(b"new")
"""For the tests that write once for each system call."""


def workshops(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.name.startswith("."))


def test_old_and_new_differ_so_that_the_tests_below_can_tell() -> None:
    assert contents(OLD).keys() == contents(NEW).keys()
    assert contents(OLD)["io.bin"] != contents(NEW)["io.bin"]


@pytest.mark.parametrize("standing", ["nothing", "an empty folder", "an old bundle", "the same bundle"])
def test_the_folder_holds_exactly_the_files_given(tmp_path: Path, standing: str) -> None:
    place = tmp_path / "vm.bundle"
    if standing == "an empty folder":
        place.mkdir()
    elif standing != "nothing":
        write_bundle(str(place), OLD if standing == "an old bundle" else NEW)
    write_bundle(str(place), NEW)
    assert tree(place) == contents(NEW)
    assert os.listdir(tmp_path) == ["vm.bundle"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    place = tmp_path / "vm.bundle"
    before = os.umask(umask)
    try:
        write_bundle(str(place), OLD)
        write_bundle(str(place), NEW)
    finally:
        os.umask(before)
    modes = {each.is_dir(): each.stat().st_mode & 0o7777 for each in [place, *place.rglob("*")]}
    assert modes == {False: 0o644, True: 0o755}
    assert os.listdir(tmp_path) == ["vm.bundle"]


@pytest.mark.parametrize("spelling", ["vm.bundle", "./vm.bundle", "vm.bundle/", "vm.bundle///", "sub/../vm.bundle"])
def test_places_are_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    write_bundle(spelling, NEW)
    assert tree(tmp_path / "vm.bundle") == contents(NEW)


def test_a_name_that_is_no_text_is_written_too(tmp_path: Path) -> None:
    place = os.fsdecode(os.fsencode(tmp_path) + b"/vm\xff.bundle")
    write_bundle(place, OLD)
    write_bundle(place, NEW)
    assert load(place).files == tuple(sorted(NEW[:-1]))


# what is not replaced


def _file(place: Path) -> None:
    place.write_text("notes")


def _folder(place: Path) -> None:
    place.mkdir()
    (place / "notes.txt").write_text("notes")


def _forged(place: Path) -> None:
    place.mkdir()
    (place / "manifest.json").write_text('{"name": "a browser extension", "manifest_version": 3}')


def _stranger(place: Path) -> None:
    write_bundle(str(place), OLD)
    (place / "notes.txt").write_text("notes")


def _link_inside(place: Path) -> None:
    write_bundle(str(place), OLD)
    (place / "more").symlink_to("/etc")


def _newer(place: Path) -> None:
    write_bundle(str(place), OLD)
    manifest = place / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 1', '"format_version": 2'))


def _link(place: Path) -> None:
    write_bundle(str(place.parent / "real.bundle"), OLD)
    place.symlink_to("real.bundle")


def _dangling(place: Path) -> None:
    place.symlink_to("nowhere")


def _pipe(place: Path) -> None:
    os.mkfifo(place)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (_file, "it is not a folder; name another place"),
        (_folder, "is not a bundle (it has no manifest.json); name another place, or delete the folder"),
        (_forged, 'is not a bundle (manifest.json: the document: "files" is missing); name another'),
        (_stranger, "holds files that are not its own: notes.txt; move them out"),
        (_link_inside, "is not a bundle (more is a symbolic link); name another"),
        (_newer, "its format version is 2; this policyc reads version 1"),
        (_link, "it is a symbolic link; name the folder that it leads to"),
        (_dangling, "it is a symbolic link"),
        (_pipe, "it is not a folder"),
    ],
)
def test_what_is_not_a_bundle_is_left_as_it_is(tmp_path: Path, prepare: Callable[[Path], None], words: str) -> None:
    place = tmp_path / "vm.bundle"
    prepare(place)
    before = sorted(os.listdir(tmp_path)), place.is_dir() and tree(place), os.lstat(place).st_ino
    with pytest.raises(UnreadableError) as caught:
        write_bundle(str(place), NEW)
    assert str(caught.value).startswith(f"cannot write {place}: ")
    assert words in str(caught.value)
    assert before == (sorted(os.listdir(tmp_path)), place.is_dir() and tree(place), os.lstat(place).st_ino)


@pytest.mark.parametrize(
    "place", ["", ".", "..", "/", "sub/..", "sub/.", "x" * 201, "a\0b", "nowhere/vm.bundle", "file/vm"]
)
def test_a_place_that_cannot_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnreadableError, match="cannot write "):
        write_bundle(place, NEW)
    assert sorted(os.listdir(tmp_path)) == ["file", "sub"]
    assert os.listdir(tmp_path / "sub") == []


def test_a_damaged_bundle_is_replaced(tmp_path: Path) -> None:
    place = tmp_path / "vm.bundle"
    write_bundle(str(place), OLD)
    (place / "io.bin").write_bytes(b"")
    (place / "msr.bin").unlink()
    write_bundle(str(place), NEW)
    assert tree(place) == contents(NEW)


# a disk that fails


CALLS = (
    "open", "mkdir", "write", "fsync", "fchmod", "rename", "unlink", "rmdir", "stat", "fstat", "listdir", "close", "read",
)  # fmt: skip


@contextmanager
def counted(before: Callable[[int], None], after: Callable[[int], None] = lambda number: None) -> Iterator[None]:
    """Calls before(n) and after(n) around the n-th system call of everything inside."""
    number = 0

    def wrap(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            nonlocal number
            number += 1
            mine = number
            before(mine)
            result = real(*arguments, **named)
            after(mine)
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, wrap(getattr(os, name)))
        patch.setattr(write, "exchange", wrap(write.exchange))
        yield


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("standing", [None, SMALL_OLD])
def test_whichever_call_fails_the_old_or_the_new_bundle_stands_and_success_means_the_new(
    tmp_path: Path, code: int, standing: tuple[Image, ...] | None
) -> None:
    at, failed = 0, True
    while failed:
        at, failed = at + 1, False
        folder = tmp_path / str(at)
        folder.mkdir()
        place = folder / "vm.bundle"
        if standing:
            write_bundle(str(place), standing)

        def fail(number: int, at: int = at) -> None:
            nonlocal failed
            if number == at:
                failed = True
                raise OSError(code, os.strerror(code))

        told = False
        with counted(fail):
            try:
                write_bundle(str(place), SMALL_NEW)
            except (UnreadableError, OSError):
                told = True
        found = tree(place) if place.exists() else None
        allowed = [contents(SMALL_NEW)] if not told else [contents(SMALL_NEW), contents(standing) if standing else None]
        assert found in allowed, at
        write_bundle(str(place), SMALL_NEW)
        assert tree(place) == contents(SMALL_NEW)
    assert at > 40


def test_a_file_size_limit_leaves_the_old_bundle(tmp_path: Path) -> None:
    place = tmp_path / "vm.bundle"
    write_bundle(str(place), OLD)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(UnreadableError, match=r"cannot write .*: file too large"):
            write_bundle(str(place), NEW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert tree(place) == contents(OLD)
    assert os.listdir(tmp_path) == ["vm.bundle"]


def test_a_full_disk_leaves_the_old_bundle(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs to mount a tmpfs")
    try:
        place = disk / "vm.bundle"
        write_bundle(str(place), OLD)
        for number in range(999):
            try:
                (disk / f"filler{number}").write_bytes(bytes(4096))
            except OSError:
                break
        with pytest.raises(UnreadableError, match=r"cannot write .*: no space left on device"):
            write_bundle(str(place), NEW)
        assert tree(place) == contents(OLD)
        assert workshops(disk) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_without_rename_exchange_an_old_bundle_is_still_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "exchange", lambda *_: errno.EINVAL)
    place = tmp_path / "vm.bundle"
    write_bundle(str(place), OLD)
    write_bundle(str(place), NEW)
    assert tree(place) == contents(NEW)
    assert os.listdir(tmp_path) == ["vm.bundle"]


# a run that is killed


def _die_in_child(work: Callable[[], None], before: Callable[[int], None], after: Callable[[int], None]) -> bool:
    """Run work in a child that may die at any call; whether it died."""
    child = os.fork()
    if child == 0:
        try:
            with counted(before, after):
                work()
        except BaseException:
            os._exit(2)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


def _kill(at: int) -> Callable[[int], None]:
    def kill(number: int) -> None:
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("standing", [None, SMALL_OLD])
def test_whenever_a_run_is_killed_the_old_or_the_new_bundle_stands(
    tmp_path: Path, when: str, standing: tuple[Image, ...] | None
) -> None:
    at, died, seen = 0, True, set()
    while died:
        at += 1
        folder = tmp_path / str(at)
        folder.mkdir()
        place = folder / "vm.bundle"
        if standing:
            write_bundle(str(place), standing)
        kill = _kill(at)

        def idle(number: int) -> None:
            pass

        died = _die_in_child(
            lambda place=place: write_bundle(str(place), SMALL_NEW),  # type: ignore[misc]
            kill if when == "before" else idle,
            kill if when == "after" else idle,
        )
        found = tree(place) if place.exists() else None
        assert found in ([contents(standing)] if standing else [None]) + [contents(SMALL_NEW)], at
        seen.add(found == contents(SMALL_NEW))
        write_bundle(str(place), SMALL_NEW)
        assert tree(place) == contents(SMALL_NEW)
        assert os.listdir(folder) == ["vm.bundle"], at
    assert seen == {False, True}


def test_a_run_killed_between_the_two_renames_of_the_fallback_is_mended_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "exchange", lambda *_: errno.ENOSYS)
    place = tmp_path / "vm.bundle"
    write_bundle(str(place), SMALL_OLD)
    at, gone = 0, False
    while not gone:
        at += 1
        assert _die_in_child(lambda: write_bundle(str(place), SMALL_NEW), _kill(at), lambda number: None)
        gone = not place.exists()
    with pytest.raises(UnreadableError):
        write_bundle(str(place), (Image("a/" * 3 + "x" * 300, b""),))
    assert tree(place) == contents(SMALL_OLD)
    assert os.listdir(tmp_path) == ["vm.bundle"]


def test_other_folders_are_never_taken_for_a_dead_run(tmp_path: Path) -> None:
    place = tmp_path / "vm.bundle"
    others = [
        ".vm.bundle.policyc-0123456789abcdef",  # the right name, but not marked, and with something in it
        ".vm.bundle.policyc-0123456789abcde",
        ".vm.bundle.policyc-0123456789abcdefg",
        ".vm.bundle.policyc-0123456789ABCDEF",
        ".other.bundle.policyc-0123456789abcdef",
    ]
    for name in others:
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("notes")
    (tmp_path / others[4] / "policyc-workshop").write_text("")
    write_bundle(str(place), OLD)
    write_bundle(str(place), NEW)
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "vm.bundle"])
    assert all((tmp_path / name / "notes.txt").exists() for name in others)


def test_a_link_that_bears_a_workshop_s_name_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "policyc-workshop").write_text("")
    (precious / "new").mkdir()
    (tmp_path / ".vm.bundle.policyc-0123456789abcdef").symlink_to("precious")
    write_bundle(str(tmp_path / "vm.bundle"), NEW)
    assert sorted(os.listdir(precious)) == ["new", "policyc-workshop"]


def test_a_run_that_lives_keeps_its_workshop(tmp_path: Path) -> None:
    place = str(tmp_path / "vm.bundle")
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        alive = write._Workshop(handle, "vm.bundle")
        alive.build(OLD)
        write_bundle(place, NEW)
        assert workshops(tmp_path) == [alive.title]
        alive.remove()
    finally:
        os.close(handle)
    assert os.listdir(tmp_path) == ["vm.bundle"]


@pytest.mark.parametrize("standing", [None, OLD])
def test_the_last_of_two_runs_wins_and_neither_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, standing: tuple[Image, ...] | None
) -> None:
    place = str(tmp_path / "vm.bundle")
    if standing is not None:
        write_bundle(place, standing)
    build = write._Workshop.build

    def overtaken(self: write._Workshop, files: tuple[Image, ...]) -> None:
        build(self, files)
        monkeypatch.setattr(write._Workshop, "build", build)
        write_bundle(place, OLD)

    monkeypatch.setattr(write._Workshop, "build", overtaken)
    write_bundle(place, NEW)
    assert tree(Path(place)) == contents(NEW)
    assert os.listdir(tmp_path) == ["vm.bundle"]


def test_what_somebody_else_put_there_meanwhile_stays_unless_it_is_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "vm.bundle"
    write_bundle(str(place), OLD)
    build = write._Workshop.build

    def overtaken(self: write._Workshop, files: tuple[Image, ...]) -> None:
        build(self, files)
        place.rename(tmp_path / "elsewhere")
        place.mkdir()
        (place / "thesis.tex").write_text("ten years")

    monkeypatch.setattr(write._Workshop, "build", overtaken)
    with pytest.raises(UnreadableError, match="not a bundle"):
        write_bundle(str(place), NEW)
    assert (place / "thesis.tex").read_text() == "ten years"
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "vm.bundle"]


def test_runs_side_by_side_leave_one_whole_bundle_and_readers_never_see_a_mixture(tmp_path: Path) -> None:
    place = tmp_path / "vm.bundle"
    write_bundle(str(place), OLD)
    script = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from bundles import files, POLICY\n"
        "from policyc.bundle.write import write_bundle\n"
        "import sys\n"
        "text = POLICY.replace('0x3f9', '0x3fa')\n"
        "for each in range(40): write_bundle(sys.argv[1], files(text if each % 2 else POLICY))\n"
    )
    root = Path(write.__file__).parents[2]
    runs = [
        subprocess.Popen([sys.executable, "-c", script, str(place), str(root), str(Path(__file__).parent)])
        for _ in range(2)
    ]
    wholes = [contents(OLD), contents(NEW)]
    reads = 0
    while any(run.poll() is None for run in runs):
        found = load(str(place))
        assert {"manifest.json", *(each.name for each in found.files)} == wholes[0].keys()
        assert any(all(whole[each.name] == each.data for each in found.files) for whole in wholes)
        reads += 1
    assert [run.returncode for run in runs] == [0, 0]
    assert reads > 10
    assert tree(place) in wholes
    write_bundle(str(place), NEW)
    assert os.listdir(tmp_path) == ["vm.bundle"]


def test_a_writer_overtaken_while_it_looks_at_what_stands_there_looks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run has deleted the old bundle's files between their names and their states."""
    place = tmp_path / "vm.bundle"
    write_bundle(str(place), SMALL_OLD)
    genuine, overtaken = write.listing, []

    def listing(handle: int) -> dict[str, os.stat_result]:
        if not overtaken:
            overtaken.append(True)
            write_bundle(str(place), SMALL_NEW)
            os.stat("a.bin", dir_fd=handle)
        return genuine(handle)

    monkeypatch.setattr(write, "listing", listing)
    write_bundle(str(place), NEW)
    assert tree(place) == contents(NEW)
    assert os.listdir(tmp_path) == ["vm.bundle"]


def test_a_reader_overtaken_again_and_again_reads_the_bundle_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine a read takes longer than a write: each of these reads begins in a folder that is gone."""
    place = tmp_path / "vm.bundle"
    write_bundle(str(place), OLD)
    genuine, overtaken = read._load, []

    def slow(path: str, handle: int) -> object:
        if len(overtaken) < 10:
            overtaken.append(path)
            write_bundle(path, NEW)
        return genuine(path, handle)

    monkeypatch.setattr(read, "_load", slow)
    assert {each.name: each.data for each in load(str(place)).files}.items() <= contents(NEW).items()
    assert len(overtaken) == 10


def test_an_interrupt_leaves_the_old_bundle_and_no_workshop(tmp_path: Path) -> None:
    place = tmp_path / "vm.bundle"
    write_bundle(str(place), OLD)

    def interrupt(number: int) -> None:
        if number == 60:
            raise KeyboardInterrupt

    with counted(interrupt), pytest.raises(KeyboardInterrupt):
        write_bundle(str(place), NEW)
    assert tree(place) == contents(OLD)
    assert os.listdir(tmp_path) == ["vm.bundle"]


def test_no_handle_stays_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for images in (OLD, NEW):
        write_bundle(str(tmp_path / "vm.bundle"), images)
    load(str(tmp_path / "vm.bundle"))
    assert os.listdir("/proc/self/fd") == before
