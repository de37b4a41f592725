"""A bundle that was altered in any way is refused with the reason; nothing in it is followed, run or waited for."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from policyc.bundle.read import load
from policyc.bundle.write import write_bundle
from policyc.vocabulary.diagnostic import UnreadableError
from tests.bundle.bundles import POLICY, compiled, files


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_bundle(str(tmp_path / "vm.bundle"), files())
    return tmp_path / "vm.bundle"


def test_what_was_written_is_read(place: Path) -> None:
    bundle = load(str(place))
    assert bundle.files == tuple(sorted(files()[:-1]))
    assert bundle.manifest.targets == ("vmx", "svm")
    assert bundle.manifest.policy == "vm"
    assert [each.path for each in bundle.manifest.sources] == ["vm.pol"]
    assert bundle.manifest.profile is None


def test_the_images_of_a_vcpu_are_those_that_were_compiled_for_it(place: Path) -> None:
    bundle, whole = load(str(place)), compiled()
    for variant, targets in whole.images.items():
        vcpu = (0, 2)[variant.vcpu_class]  # class 1 is vCPUs 1..3
        for target, images in targets.items():
            assert bundle.images(target, variant.profile, vcpu) == {each.name: each.data for each in images}
    with pytest.raises(KeyError):
        bundle.images("vmx", "nowhere")
    with pytest.raises(KeyError):
        bundle.images("kvm")


def test_a_link_to_a_bundle_is_read(place: Path) -> None:
    link = place.parent / "link"
    link.symlink_to("vm.bundle")
    assert load(str(link)).files == load(str(place)).files


def refused(place: Path) -> str:
    with pytest.raises(UnreadableError) as caught:
        load(str(place))
    text = str(caught.value)
    assert text.startswith(f"cannot read the bundle {place}: ")
    return text


@pytest.mark.parametrize("path", [each.name for each in files()[:-1]])
def test_one_altered_bit_in_any_file_is_found(place: Path, path: str) -> None:
    data = bytearray((place / path).read_bytes())
    data[len(data) // 2] ^= 1
    (place / path).write_bytes(data)
    assert f"{path} was altered: its SHA-256 is not the one in the manifest" in refused(place)


def _shorter(place: Path) -> None:
    (place / "io.bin").write_bytes(bytes(10))


def _longer(place: Path) -> None:
    with (place / "io.bin").open("ab") as stream:
        stream.write(b"\0")


def _huge(place: Path) -> None:
    with (place / "io.bin").open("ab") as stream:
        stream.truncate(1 << 40)


def _missing(place: Path) -> None:
    (place / "io.bin").unlink()


def _extra(place: Path) -> None:
    (place / "profiles" / "notes.txt").write_text("")


def _hidden(place: Path) -> None:
    (place / ".hidden").write_text("")


def _extra_folder(place: Path) -> None:
    (place / "empty").mkdir()


def _deep(place: Path) -> None:
    (place / "/".join("a" * 20)).mkdir(parents=True)


def _link(place: Path) -> None:
    (place / "io.bin").rename(place.parent / "io.bin")
    (place / "io.bin").symlink_to(place.parent / "io.bin")


def _folder_link(place: Path) -> None:
    (place / "profiles").rename(place.parent / "profiles")
    (place / "profiles").symlink_to(place.parent / "profiles")


def _loop(place: Path) -> None:
    (place / "loop").symlink_to(".")


def _manifest_link(place: Path) -> None:
    (place / "manifest.json").rename(place.parent / "manifest.json")
    (place / "manifest.json").symlink_to(place.parent / "manifest.json")


def _pipe(place: Path) -> None:
    (place / "io.bin").unlink()
    os.mkfifo(place / "io.bin")


def _manifest_pipe(place: Path) -> None:
    (place / "manifest.json").unlink()
    os.mkfifo(place / "manifest.json")


def _file_is_folder(place: Path) -> None:
    (place / "io.bin").unlink()
    (place / "io.bin" / "x").mkdir(parents=True)
    (place / "io.bin" / "x" / "y").write_text("")


def _no_manifest(place: Path) -> None:
    (place / "manifest.json").unlink()


def _manifest_huge(place: Path) -> None:
    os.truncate(place / "manifest.json", 1 << 40)


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (_shorter, "io.bin has 10 bytes, its manifest says 8,192"),
        (_longer, ": io.bin is larger than 8,192 bytes"),
        (_huge, ": io.bin is larger than 8,192 bytes"),
        (_missing, "io.bin: no such file or directory"),
        (_extra, "it holds profiles/notes.txt, which its manifest does not name"),
        (_hidden, "it holds .hidden, which its manifest does not name"),
        (_extra_folder, "empty is an empty folder"),
        (_deep, "folders nest over 8 deep"),
        (_link, "io.bin is a symbolic link"),
        (_folder_link, "profiles is a symbolic link"),
        (_loop, "loop is a symbolic link"),
        (_manifest_link, "manifest.json: too many levels of symbolic links"),
        (_pipe, "io.bin is not a regular file"),
        (_manifest_pipe, "manifest.json is not a regular file"),
        (_file_is_folder, "it holds io.bin/x/y, which its manifest does not name"),
        (_no_manifest, "it has no manifest.json"),
        (_manifest_huge, "manifest.json is larger than 67,108,864 bytes"),
    ],
)
def test_a_folder_that_was_tampered_with_is_refused(place: Path, tamper: Callable[[Path], None], words: str) -> None:
    tamper(place)
    assert words in refused(place)


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(format_version=2), "its format version is 2; this policyc reads version 1"),
        (lambda m: m.update(format_version=True), "format_version: True is not one of 1"),
        (lambda m: m.update(format_version="1"), "format_version: '1' is not one of 1"),
        (lambda m: m.pop("files"), 'the document: "files" is missing'),
        (lambda m: m["files"][0].update(path="../io.bin"), "files[0].path: '../io.bin' is not of the form"),
        (lambda m: m["files"][0].update(path="/etc/passwd"), "files[0].path: '/etc/passwd' is not of the form"),
        (lambda m: m["files"][0].update(path="a//b"), "files[0].path: 'a//b' is not of the form"),
        (lambda m: m["files"][0].update(path="a\n"), "files[0].path: 'a\\n' is not of the form"),
        (lambda m: m["files"][0].update(path="a\0b"), "files[0].path: 'a\\x00b' is not of the form"),
        (lambda m: m["files"][0].update(size=-1), "files[0].size: -1 is below 0"),
        (lambda m: m["files"][0].update(size=1 << 62), "files[0].size: 4611686018427387904 is above"),
        (lambda m: m["files"][0].update(sha256="A" * 64), "files[0].sha256: "),
        (lambda m: m["files"].append(m["files"][0]), "a path stands there twice"),
        (lambda m: m["files"][0].update(path="manifest.json"), "or is the manifest itself"),
        (lambda m: [each.update(size=1 << 30) for each in m["files"]], "larger than 512 MiB together"),
        (lambda m: m["files"].pop(), "is not among the files"),
        (lambda m: m["variants"][0].update(vcpu_class=7), "variants[0].vcpu_class: there is no class 7"),
        (lambda m: m["variants"].append(m["variants"][0]), "this profile and class of vCPUs stand there twice"),
        (lambda m: m["variants"][0]["images"].pop("svm"), "they are not those of the targets vmx, svm"),
        (lambda m: m["variants"][0]["images"]["vmx"].update({"io.bin": "msr.bin"}), "msr.bin has 4,096 bytes, not 8,192"),
        (lambda m: m["variants"][0]["images"]["vmx"].update({"io.bin": "nowhere"}), "nowhere is not among the files"),
        (lambda m: m["variants"][0]["decisions"].update({"rdmsr": 99}), "variants[0].decisions: there is no such list"),
        (lambda m: m["variants"][0]["obligations"].update({"vmx": 99}), "variants[0].obligations: there is no such list"),
        (lambda m: m["decisions"][0][0].__setitem__(0, 1), "decisions[0]: 1.."),
        (lambda m: m["decisions"][0][0].__setitem__(2, [99]), "decisions[0]: 0.."),
        (lambda m: m["decisions"][0][0].__setitem__(2, []), "decisions[0][0][2]: it has 0 parts"),
        (lambda m: m["rules"][0].update(number=1), "rules[0].number is 1"),
        (lambda m: m.update(targets=["../../x"]), "targets[0]: '../../x' is not of the form"),
        (lambda m: m.update(sources=[{"path": "/home/me/vm.pol", "size": 1, "sha256": "0" * 64}]), "sources[0].path: "),
    ],
)  # fmt: skip
def test_a_manifest_that_contradicts_itself_is_refused(place: Path, change: Change, words: str) -> None:
    document = json.loads((place / "manifest.json").read_bytes())
    change(document)
    (place / "manifest.json").write_text(json.dumps(document))
    assert words in refused(place)


def test_an_image_of_the_wrong_size_is_refused_even_where_the_manifest_agrees(place: Path) -> None:
    data = bytes(8191)
    (place / "io.bin").write_bytes(data)
    document = json.loads((place / "manifest.json").read_bytes())
    entry = next(each for each in document["files"] if each["path"] == "io.bin")
    entry.update(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    (place / "manifest.json").write_text(json.dumps(document))
    assert "io.bin has 8,191 bytes, not 8,192" in refused(place)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not the JSON that policyc writes"),
        (b"\0" * 100, "is not the JSON that policyc writes"),
        (b"[]", "it is not an object"),
        (b"null", "it is not an object"),
        (b"[" * 1_000_000, "it nests too deep"),
        (b'{"a":' * 1_000_000, "it nests too deep"),
        (b'{"format_version": 1, "format_version": 1}', "a member stands twice in one object"),
        (b'{"format_version": 1.0}', "1.0 is not a whole number"),
        (b'{"format_version": NaN}', "NaN is not a whole number"),
        (b'{"format_version": ' + b"9" * 10_000 + b"}", "is not the JSON that policyc writes"),
        ('{"policy": "caf\u00e9"}'.encode(), "is not the JSON that policyc writes"),
        ('{"policy": "vm"}'.encode("utf-16"), "is not the JSON that policyc writes"),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(place: Path, data: bytes, words: str) -> None:
    (place / "manifest.json").write_bytes(data)
    assert words in refused(place)


def test_fields_that_a_later_version_adds_are_ignored(place: Path) -> None:
    document = json.loads((place / "manifest.json").read_bytes())
    document["added_later"] = {"anything": [1]}
    document["files"][0]["added_later"] = True
    (place / "manifest.json").write_text(json.dumps(document))
    assert load(str(place)).files == tuple(sorted(files()[:-1]))


@pytest.mark.parametrize("path", ["", "nowhere", "file", "a\0b"])
def test_what_is_no_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnreadableError, match="cannot read the bundle "):
        load(path)


def test_the_policy_of_these_tests_has_every_kind_of_folder() -> None:
    assert {each.name.rpartition("/")[0] for each in files(POLICY)} == {
        "", "profiles/hardened", "vcpus/1-3", "profiles/hardened/vcpus/1-3",
    }  # fmt: skip
