"""`git diff` of images, by the driver that docs/ci.md tells to set up, and real git."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policyc.cli import frame
from tests.ci.scratch import ROOT, Repository

PAGE = (ROOT / "docs" / "ci.md").read_text()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """With the driver as the page sets it up."""
    made = Repository(tmp_path)
    (setup,) = re.findall(r"```sh\n(git config diff\.policyc\.textconv[^`]*)```", PAGE)
    done = made.run("sh", "-e", "-c", setup)
    assert done.returncode == 0, done.stderr
    return made


def images(closed: int) -> dict[str, bytes]:
    msr, io = bytearray(4096), bytearray(8192)
    msr[0x807] = closed
    io[0xCF8 // 8] = 0xFF if closed else 0
    return {"out__msr_bin": bytes(msr), "out__io_bin": bytes(io), "out__msrpm_bin": bytes(8192)}


def test_a_changed_image_is_shown_as_a_policy(repository: Repository) -> None:
    repository.commit(**images(0))
    repository.commit(**images(4))
    shown = repository.git("diff", "HEAD~")
    assert "+    IA32_FEATURE_CONTROL,  # 0x3a\n" in shown
    assert "+    PCI_CONFIG,  # 0xcf8..0xcff\n" in shown
    assert "Binary files" not in shown
    assert "IA32_FEATURE_CONTROL" in repository.git("log", "-p", "-1")


def test_a_bundle_s_images_and_its_filter_are_shown(repository: Repository) -> None:
    policy = "language 1\ndefault passthrough\nintercept msr IA32_EFER write\n"
    repository.commit(vm_pol=policy)
    compiled = ["policyc", "compile", "vm.pol", "-o", "vm.bundle", "--target", "vmx,svm,kvm"]
    assert repository.run(*compiled).returncode == 0
    repository.git("add", "-A")
    repository.git("commit", "-qm", "bundle")
    (repository.path / "vm.pol").write_text(policy + "intercept msr IA32_TSC read\n")
    assert repository.run(*compiled).returncode == 0
    shown = repository.git("diff", "--", "vm.bundle/*.bin", "vm.bundle/kvm_filter.json")
    assert shown.count("+    IA32_TSC,  # 0x10\n") == 3
    assert '"bitmap"' not in shown


def test_git_diff_goes_on_where_a_file_is_no_image(repository: Repository) -> None:
    repository.commit(**{"firmware_bin": b"\x00\x01\x02", **images(0)})
    repository.commit(**{"firmware_bin": b"\x00\x01\x03", **images(4)})
    shown = repository.git("diff", "HEAD~")
    assert re.search(r"^\+3 bytes, SHA-256 [0-9a-f]{64}$", shown, re.MULTILINE)
    assert "IA32_FEATURE_CONTROL" in shown


def test_the_map_of_8192_bytes_is_told_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, said in (("msrpm.bin", "default msr"), ("a-io.bin", "default io"), ("x.bin", "target vmx")):
        (tmp_path / name).write_bytes(bytes(8192))
        assert frame.run(["textconv", str(tmp_path / name)]) == 0
        assert said in capsys.readouterr().out


def test_a_damaged_filter_is_shown_by_its_digest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kvm_filter.json").write_text('{"ranges": 3}')
    assert frame.run(["textconv", str(tmp_path / "kvm_filter.json")]) == 0
    assert capsys.readouterr().out.startswith("13 bytes, SHA-256 ")
