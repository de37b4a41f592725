"""`diff` compares whatever it is given: what a policy was compiled to is no different from it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from policyc.cli import frame
from tests.cli.sample import TEXT, line_of, write
from tests.demand import need_git

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.pol") if path.name != "baseline.pol")
Captured = pytest.CaptureFixture[str]


def diffed(capsys: Captured, *words: str, status: int = 1) -> str:
    assert frame.run(["diff", *words]) == status, capsys.readouterr().err
    out, err = capsys.readouterr()
    assert err == ""
    return out


def compiled(capsys: Captured, policy: str, folder: Path, *words: str) -> str:
    bundle = str(folder / f"{Path(policy).stem}{len(words)}.bundle")
    assert frame.run(["compile", policy, "-o", bundle, *words]) == 0
    capsys.readouterr()
    return bundle


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_bundle_and_its_images_do_not_differ_from_their_policy(path: Path, tmp_path: Path, capsys: Captured) -> None:
    bundle = Path(compiled(capsys, str(path), tmp_path))
    assert diffed(capsys, str(bundle), str(path), status=0) == "no difference\n"
    for image in sorted(bundle.glob("*.bin")):
        assert diffed(capsys, str(image), str(path), status=0) == "no difference\n", image.name


def test_every_kind_of_image_is_compared_and_differs_where_the_policy_does(tmp_path: Path, capsys: Captured) -> None:
    old = compiled(capsys, write(tmp_path), tmp_path, "--target", "vmx,svm")
    new = tmp_path / "new.pol"
    text = TEXT.replace("intercept io 0x64 out -> kill\n", "").replace("{ 0x1b, 0x3a }", "{ 0x1b, 0x3a, 0x79 }")
    new.write_text(text)
    for image, opens, closes in (
        ("msr.bin", None, "closes 1 MSR for read and write"),
        ("msrpm.bin", None, "closes 1 MSR for read and write"),
        ("io.bin", "opens 1 port for in and out", None),
        ("iopm.bin", "opens 1 port for in and out", None),
    ):
        document: dict[str, Any] = json.loads(diffed(capsys, f"{old}/{image}", str(new), "--format", "json"))
        assert (document["opens"]["summary"], document["closes"]["summary"]) == (opens, closes), image
        (item,) = (document["opens"] if opens else document["closes"])["differences"]
        assert item["old" if opens else "new"][0]["does"] == "exit"
    lines = [line.split()[:3] for line in diffed(capsys, f"{old}/msr.bin", str(new)).splitlines()]
    assert ["+", "exit", f"{new}:{line_of('0x1b')}"] in lines


def test_two_images_of_one_policy_agree_where_both_decide(tmp_path: Path, capsys: Captured) -> None:
    bundle = compiled(capsys, write(tmp_path), tmp_path, "--target", "vmx,svm")
    assert diffed(capsys, f"{bundle}/msr.bin", f"{bundle}/msrpm.bin", status=0) == "no difference\n"
    assert diffed(capsys, f"{bundle}/iopm.bin", f"{bundle}/io.bin", status=0) == "no difference\n"
    assert frame.run(["diff", f"{bundle}/msr.bin", f"{bundle}/io.bin"]) == 2
    assert "nothing in common" in capsys.readouterr().err
    unnamed = tmp_path / "dump"
    unnamed.write_bytes((Path(bundle) / "io.bin").read_bytes())
    assert frame.run(["diff", str(unnamed), f"{bundle}/io.bin"]) == 2
    assert "--as io or --as msrpm" in capsys.readouterr().err
    diffed(capsys, str(unnamed), f"{bundle}/io.bin", "--as", "io", status=0)
    diffed(capsys, f"{bundle}/iopm.bin", str(unnamed), "--as", "io", status=0)


def test_an_altered_image_is_told_bit_by_bit(tmp_path: Path, capsys: Captured) -> None:
    bundle = compiled(capsys, write(tmp_path), tmp_path)
    data = bytearray((Path(bundle) / "msr.bin").read_bytes())
    data[2048 + 0x79 // 8] |= 1 << 0x79 % 8  # write-low, SDM vol. 3C, "MSR-Bitmap Address"
    data[3072 + 0x80 // 8] &= ~(1 << 0x80 % 8)  # write-high: EFER
    image = tmp_path / "msr.bin"
    image.write_bytes(data)
    document = json.loads(diffed(capsys, bundle, str(image), "--format", "json"))
    found = [
        (kind, each["access"], each["ranges"]) for kind in ("opens", "closes") for each in document[kind]["differences"]
    ]
    assert found == [("opens", "write", [[0xC0000080, 0xC0000080]]), ("closes", "write", [[0x79, 0x79]])]


def test_profiles_of_bundles(tmp_path: Path, capsys: Captured) -> None:
    policy = write(tmp_path)
    whole = compiled(capsys, policy, tmp_path)
    alone = compiled(capsys, policy, tmp_path, "--profile", "hardened")
    diffed(capsys, alone, policy, "--profile", "hardened", status=0)
    diffed(capsys, policy, alone, status=0)
    diffed(capsys, f"{whole}/profiles/hardened/msr.bin", policy, "--profile", "hardened", status=0)
    out = diffed(capsys, f"{whole}/msr.bin", policy, "--profile", "hardened")
    assert out.startswith("closes 1 MSR for write\n")


def test_a_bundle_that_was_altered_is_refused(tmp_path: Path, capsys: Captured) -> None:
    bundle = compiled(capsys, write(tmp_path), tmp_path)
    (Path(bundle) / "io.bin").write_bytes(bytes(8192))
    assert frame.run(["diff", bundle, write(tmp_path)]) == 2
    assert "SHA-256" in capsys.readouterr().err


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose policy, in a folder, imports another file; both differ from what was committed."""
    need_git()
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "more.pol").write_text("language 1\nintercept io 0x80\n")
    vm = write(folder, 'import "more.pol"\n')
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    (folder / "more.pol").write_text("language 1\nintercept io 0x81\n")
    assert Path(vm).exists()
    monkeypatch.chdir(folder)
    return folder


def test_the_same_file_of_another_revision(repository: Path, capsys: Captured) -> None:
    out = diffed(capsys, "--against", "git:HEAD", "vm.pol")
    assert out.splitlines()[0] == "opens 1 port for in and out"
    assert "exit         HEAD:policies/more.pol:2" in out
    assert diffed(capsys, "git:v1:policies/vm.pol", "vm.pol").split() == out.replace("HEAD:", "v1:").split()
    assert diffed(capsys, "--against", "git:v1:./vm.pol", "git:HEAD:./vm.pol", status=0) == "no difference\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--against", "git:nothere", "vm.pol"], "nothere"),
        (["--against", "git:HEAD:policies/none.pol", "vm.pol"], "no file policies/none.pol"),
        (["--against", "git:--output=x:y.pol", "vm.pol"], "names no policy of a revision"),
        (["git:HEAD", "vm.pol"], "names no policy of a revision"),
        (["--against", "git:HEAD", "vm.pol", "more.pol"], "name NEW alone"),
        (["vm.pol"], "two policies are compared"),
    ],
)
def test_a_revision_that_cannot_be_read_is_told(repository: Path, words, said: str, capsys: Captured) -> None:
    assert frame.run(["diff", *words]) == 2
    assert said in capsys.readouterr().err
