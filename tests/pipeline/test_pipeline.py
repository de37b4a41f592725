"""The stages joined: what compiles to which files, what is refused, and that the same input gives the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from policyc.pipeline import Compilation, compile_policy
from policyc.semantics.policy import Variant
from policyc.vocabulary.diagnostic import PolicyError, UnreadableError

ROOT = Path(__file__).parents[2]

CARD = "language 1\ndefault passthrough\nintercept msr 0xc0000080 write\nintercept io 0x3f8..0x3ff\n"
PORTS_OPEN = "language 1\ndefault msr passthrough\ndefault io exit\nallow io 0x80\n"  # KVM cannot: T503
NOWHERE = PORTS_OPEN + "allow msr 0x40000000 read\n"  # and no VMX bitmap has a bit for it: T501
PROFILES = """\
language 1
target vmx
default passthrough
intercept io 0x80
profile boot {
    intercept io 0x92
}
profile run extends boot {
    deny msr 0x1d9 write
}
"""


def compiled(folder: Path, text: str, **options: object) -> Compilation:
    path = folder / "vm.pol"
    path.write_text(text)
    return compile_policy(str(path), **options)  # type: ignore[arg-type]


def refused(folder: Path, text: str, **options: object) -> list[tuple[str, int | None]]:
    """Code and line of each error."""
    with pytest.raises(PolicyError) as caught:
        compiled(folder, text, **options)
    return [
        (each.code, each.primary.span.line if each.primary else None)
        for each in caught.value.diagnostics
        if each.severity == "error"
    ]


def names(compilation: Compilation) -> list[str]:
    return [each.name for each in compilation.files]


def bit(data: bytes, position: int) -> int:
    return data[position // 8] >> position % 8 & 1


def test_the_card_examples_compile_to_the_bits_of_the_manual(tmp_path: Path) -> None:
    found = compiled(tmp_path, CARD)
    assert found.targets == ("vmx", "kvm")
    assert names(found) == [
        "io.bin", "kvm_filter.json", "msr.bin", "exit_handler.c", "exit_handler.h", "manifest.json",
    ]  # fmt: skip
    msr, io = found.images[Variant()]["vmx"]
    # SDM vol. 3C 25.6.9: write bitmap for high MSRs at byte 3072, bit 0x80 for MSR 0xc0000080. 25.6.4: one bit a port.
    assert [at for at in range(4096 * 8) if bit(msr.data, at)] == [3072 * 8 + 0x80]
    assert [at for at in range(8192 * 8) if bit(io.data, at)] == list(range(0x3F8, 0x400))
    assert found.proof.accesses > 2 * 2**32


def test_a_bundle_has_the_layout_that_the_interface_states(tmp_path: Path) -> None:
    found = compiled(tmp_path, PROFILES, targets=("vmx", "svm", "kvm"))
    images = {"io.bin", "iopm.bin", "kvm_filter.json", "msr.bin", "msrpm.bin"}
    assert set(names(found)) == {
        *images, *(f"profiles/boot/{each}" for each in images), *(f"profiles/run/{each}" for each in images),
        "exit_handler.c", "exit_handler.h", "manifest.json",
    }  # fmt: skip
    sizes = {each.name: len(each.data) for each in found.files}
    assert [sizes[each] for each in ("msr.bin", "io.bin", "msrpm.bin", "iopm.bin")] == [4096, 8192, 8192, 12288]


def test_profiles_of_which_the_same_accesses_exit_share_their_images(tmp_path: Path) -> None:
    mute = "profile mute {\n    intercept io 0x80 out width 1 when value == 1 -> log, drop\n}\n"
    more = "profile more {\n    intercept io 0x81 out width 4\n}\n"
    open_ = "profile open {\n    default io exit\n    allow io 0..0xffff except 0x80\n}\n"
    made = compiled(tmp_path, "language 1\ntarget svm\ndefault passthrough\nintercept io 0x80\n" + mute + more + open_)
    assert made.images[Variant("mute")] is made.images[Variant()]
    assert made.images[Variant("more")] != made.images[Variant()]
    # The same ports exit, but SVM's map says of the bits past the last port what the default does.
    assert made.images[Variant("open")]["svm"][1].data[:8192] == made.images[Variant()]["svm"][1].data[:8192]
    assert made.images[Variant("open")] != made.images[Variant()]


def test_one_profile_alone_stands_at_the_top_and_is_that_of_the_whole_bundle(tmp_path: Path) -> None:
    whole, alone = compiled(tmp_path, PROFILES), compiled(tmp_path, PROFILES, profile="run")
    assert names(alone) == ["io.bin", "msr.bin", "exit_handler.c", "exit_handler.h", "manifest.json"]
    data = {each.name: each.data for each in whole.files}
    assert {each.name: each.data for each in alone.files[:2]} == {
        name: data[f"profiles/run/{name}"] for name in ("io.bin", "msr.bin")
    }
    assert data["io.bin"] != data["profiles/run/io.bin"]
    manifest = json.loads(alone.files[-1].data)
    assert manifest["profile"] == "run"
    assert [each["profile"] for each in manifest["variants"]] == ["run"]


def test_a_profile_that_does_not_exist_is_a_wrong_command_line(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"has no profile 'bot'; did you mean boot\?"):
        compiled(tmp_path, PROFILES, profile="bot")


# targets


def test_remarks_without_end_are_cut_off_and_counted(tmp_path: Path) -> None:
    """T501 is told for each rule on MSRs that have no bit."""
    rules = "".join(f"intercept msr {number:#x} write\n" for number in range(0x3000, 0x3200, 2))
    told = compiled(tmp_path, "language 1\ntarget vmx\ndefault passthrough\n" + rules).diagnostics
    assert {each.code for each in told} == {"T501"}
    assert len(told) == 101
    assert told[-1].message == "156 more findings like the ones above are left out"


def test_a_default_target_that_cannot_express_the_policy_is_left_out_with_the_reason(tmp_path: Path) -> None:
    found = compiled(tmp_path, PORTS_OPEN)
    assert found.targets == ("vmx",)
    assert [(each.target, each.code) for each in found.left_out] == [("kvm", "T503")]
    told = [each for each in found.diagnostics if each.severity == "warning"]
    assert [each.code for each in told] == ["T513"]
    assert told[0].primary is not None
    assert told[0].primary.span.line == 4
    assert found.left_out[0].reason in told[0].message


@pytest.mark.parametrize("named", ["by the policy", "by the command line", "by both"])
def test_a_named_target_that_cannot_express_the_policy_is_an_error(tmp_path: Path, named: str) -> None:
    text = PORTS_OPEN if named == "by the command line" else PORTS_OPEN.replace("\n", "\ntarget kvm, vmx\n", 1)
    asked = None if named == "by the policy" else ("kvm",)
    line = 4 + (named != "by the command line")
    assert refused(tmp_path, text, targets=asked) == [("T503", line)]


def test_what_the_policy_names_must_hold_even_where_less_is_asked_for(tmp_path: Path) -> None:
    text = PORTS_OPEN.replace("\n", "\ntarget kvm, vmx\n", 1)
    assert refused(tmp_path, text, targets=("vmx",)) == [("T503", 5)]


def test_a_policy_that_no_default_target_can_express_does_not_compile(tmp_path: Path) -> None:
    assert refused(tmp_path, NOWHERE) == [("T503", 4), ("T501", 5)]


def test_the_order_in_which_targets_are_named_makes_no_difference(tmp_path: Path) -> None:
    assert (
        compiled(tmp_path, CARD, targets=("svm", "vmx")).files == compiled(tmp_path, CARD, targets=("vmx", "svm")).files
    )


# what else is refused


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ("intercept io 0x3f8 -> kill\n", "E201"),
        ("never allow msr 0x3a write\n", "E212"),
        ("assert intercepted msr 0x3a write\n", "E211"),
        ('test "t" {\n    rdmsr 0x3a => exit\n}\n', "E213"),
        ("intercept io 0x80 -> forward(policyc_anything)\n", "E066"),
        ("intercept msr NO_SUCH_MSR\n", "E031"),
    ],
)
def test_nothing_is_made_of_a_policy_that_is_wrong(tmp_path: Path, more: str, code: str) -> None:
    assert [each for each, _ in refused(tmp_path, CARD + more)] == [code]


def test_warnings_do_not_stop_a_compile(tmp_path: Path) -> None:
    found = compiled(tmp_path, "intercept io 0x80\n")
    assert [each.code for each in found.diagnostics] == ["Y701", "Y702"]


def test_files_of_names_are_read_and_recorded_without_their_folder(tmp_path: Path) -> None:
    own = tmp_path / "site.yaml"
    own.write_text(
        "- name: SITE_REG\n  index: 0x1234\n  about: A register of this site.\n  access: rw\n  vendor: any\n"
        "  tags: []\n  source: the site's manual\n"
    )
    found = compiled(tmp_path, CARD + "intercept msr SITE_REG\n", database_files=(str(own),))
    sources = json.loads(found.files[-1].data)["sources"]
    assert [(each["path"], each["size"]) for each in sources][1:] == [("site.yaml", own.stat().st_size)]


# the same bytes everywhere

MANY = """\
language 1
import "devices/uart.pol"
import "std/pit.pol"
default passthrough
com: intercept io uart.COM -> log(rate=3), forward(uart_emul)
intercept msr { IA32_EFER, 0x1b, IA32_PAT } write -> shadow(init=1)
intercept io 0x70 len 2 on vcpu { 0, 3..5 } -> count
profile zeta {
    intercept io 0x80
}
profile alpha extends zeta {
    deny msr 0x1d9 write
}
"""
SCRIPT = """\
import hashlib, os, sys
os.umask(int(sys.argv[2], 8))
from policyc.pipeline import compile_policy
for each in compile_policy(sys.argv[1], targets=("vmx", "svm", "kvm")).files:
    print(each.name, hashlib.sha256(each.data).hexdigest())
"""


def digests(path: str, folder: Path, umask: str = "022", **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, path, umask],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_same_policy_gives_the_same_bytes_in_any_folder_locale_umask_time_zone_and_hash_order(
    tmp_path: Path,
) -> None:
    here, there = tmp_path / "here", tmp_path / "caf\u00e9 \u7b56"
    for folder in (here, there):
        (folder / "devices").mkdir(parents=True)
        (folder / "vm.pol").write_text(MANY)
        (folder / "devices" / "uart.pol").write_text("language 1\nlet io COM = 0x3f8..0x3ff\n")
    os.utime(there / "vm.pol", (0, 0))
    (tmp_path / "link").symlink_to(there)
    first = digests("vm.pol", here, PYTHONHASHSEED="0")
    assert len(first.splitlines()) > 20
    assert digests(str(here / "vm.pol"), Path("/"), PYTHONHASHSEED="1") == first
    assert digests("../here/vm.pol", there, PYTHONHASHSEED="2", LC_ALL="C") == first
    assert digests("vm.pol", there, PYTHONHASHSEED="3", LC_ALL="POSIX", PYTHONUTF8="0", TZ="Asia/Tokyo") == first
    assert digests("link/vm.pol", tmp_path, umask="077", LC_ALL="C.UTF-8", HOME="/nonexistent") == first
    assert digests("./vm.pol", here, PYTHONOPTIMIZE="2", LANG="tr_TR.UTF-8", SOURCE_DATE_EPOCH="1") == first


def test_no_file_of_a_bundle_names_the_folder_it_was_made_in(tmp_path: Path) -> None:
    found = compiled(tmp_path, CARD + 'import "std/serial.pol"\n')
    for each in found.files:
        assert str(tmp_path).encode() not in each.data, each.name
        assert str(ROOT).encode() not in each.data, each.name
