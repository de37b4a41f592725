"""``policyc verify``: exit codes, the table, a difference in words, the JSON that is kept as evidence."""

from __future__ import annotations

import json
import random
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from policyc.bundle.write import write_bundle
from policyc.cli import verify
from policyc.cli.frame import run
from policyc.verify import emulators, rom
from policyc.verify.executors import EXECUTORS
from policyc.verify.kvm import Kvm
from policyc.verify.rom import HOW, compiler
from tests.bundle.bundles import compiled
from tests.demand import need
from tests.verify.subjects import POLICY, executor, need_for


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bundle(str(tmp_path / "vm.bundle"), compiled(POLICY.partition("profile")[0]).files)
    return tmp_path / "vm.bundle"


def test_the_executors_of_the_command_are_those_there_are() -> None:
    assert tuple(each.name for each in EXECUTORS) == verify.ON


def test_an_altered_bit_is_named_with_access_rule_bit_and_byte_and_the_exit_code_is_1(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_for(executor("qemu-svm"))
    data = bytearray((folder / "iopm.bin").read_bytes())
    data[0x3F8 // 8] ^= 1 << 5
    (folder / "iopm.bin").write_bytes(data)
    assert run(["verify", str(folder), "--on", "qemu-svm"]) == 1
    out = capsys.readouterr().out
    assert "altered: iopm.bin: its SHA-256 is not the one in the manifest" in out
    assert "in 0x3fd width 1: expected an exit (vm.pol:4 (com1)), found no exit" in out
    assert "iopm.bin byte 127 bit 5 must be 1" in out
    assert out.count("differs:") == 1
    assert "qemu-svm  " in out
    assert "differ" in out


def test_json_binds_the_result_to_the_files_and_names_the_tools(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_for(executor("qemu-svm"))
    assert run(["verify", str(folder), "--on", "qemu-svm", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["format_version"], told["verified"], told["altered"]) == (1, True, [])
    digests = {each["path"]: each["sha256"] for each in told["files"]}
    assert digests["iopm.bin"] == sha256((folder / "iopm.bin").read_bytes()).hexdigest()
    (result,) = told["results"]
    assert result["executor"] == "qemu-svm"
    assert result["accesses"] > 240_000
    assert result["tools"][0].startswith("QEMU ")
    assert result["differences"] == []


def test_an_executor_that_is_named_and_not_installed_is_an_error_with_the_command_to_get_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert run(["verify", str(folder), "--on", "bochs-vmx"]) == 2
    assert "apt install bochs bochs-term" in capsys.readouterr().err


def test_all_executors_that_cannot_be_run_are_told_at_once_with_all_that_each_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "language 1\ntarget vmx\ndefault passthrough\nintercept io 0x80\n"
    write_bundle(str(tmp_path / "b"), compiled(text).files)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("CC", raising=False)
    assert run(["verify", str(tmp_path / "b"), "--on", "qemu-svm,handler,bochs-vmx"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "policyc: bochs-vmx, qemu-svm and handler cannot be run",
        "  help: bochs-vmx: not installed: apt install bochs bochs-term, "
        "and it needs a C compiler for x86-64: apt install gcc; "
        "qemu-svm: the bundle has no svm images (policyc compile --target svm), "
        "and not installed: apt install qemu-system-x86, and it needs a C compiler for x86-64: apt install gcc; "
        "handler: it needs a C compiler: apt install gcc",
    ]


def test_a_bundle_without_the_images_is_told_what_to_compile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "language 1\ntarget vmx\ndefault passthrough\nintercept io 0x80\n"
    write_bundle(str(tmp_path / "b"), compiled(text).files)
    assert run(["verify", str(tmp_path / "b"), "--on", "qemu-svm"]) == 2
    assert "policyc compile --target svm" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--on", "bochs"], ["--on", ""], ["--profile", "nobody"], ["--on", "qemu-svm,nothing"]]
)
def test_words_that_mean_nothing_are_usage_errors(folder: Path, words: list[str]) -> None:
    assert run(["verify", str(folder), *words]) == 2


def test_without_a_compiler_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("policyc.verify.emulated.compiler", lambda: None)
    monkeypatch.setattr(emulators, "qemu_missing", lambda: "")
    run(["verify", str(folder), "--on", "bochs-svm"])
    assert "apt install" in capsys.readouterr().err


def test_a_compiler_that_cannot_make_32_bit_code_is_a_message_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from policyc.vocabulary.diagnostic import UnreadableError

    fake = tmp_path / "cc"
    fake.write_text("#!/bin/sh\n[ $1 = --version ] && echo fake 1 && exit\necho 'x.c:1: error: no -m32' >&2; exit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("CC", str(fake))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(UnreadableError, match="no -m32"):
        rom.probe_rom()


def test_the_rom_is_built_once_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need_for(executor("qemu-svm"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = rom.probe_rom()
    assert Path(first.path).parent == tmp_path / "policyc"
    assert Path(first.path).stat().st_size == 65536
    monkeypatch.setattr(rom, "_compiled", lambda *_: pytest.fail("built twice"))
    assert rom.probe_rom() == first


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need_for(executor("qemu-svm"))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    gone: list[str] = []
    monkeypatch.setattr("atexit.register", lambda remove, path: gone.append(path))
    made = rom.probe_rom()
    assert Path(made.path).stat().st_size == 65536
    assert gone == [made.path]
    Path(made.path).unlink()


ACTING = """\
language 1
target vmx, svm
default passthrough
default msr outside -> inject(gp)
efer: intercept msr 0xc0000080 -> log(rate=10), mask(and=0xff00, or=0x1)
intercept msr 0x1a0 -> shadow(init=3)
intercept io 0x60 in -> const(0x5a)
intercept io 0x64 out when value == 0xfe -> kill
intercept io 0x20 len 4 -> forward(pic)
intercept io 0x70 len 2 on vcpu 1..3 -> notify
deny msr 0x3a
intercept io 0x80 -> drop
profile loud {
    intercept io 0x80 len 4 -> exit
}
"""


def acting(tmp_path: Path) -> Path:
    write_bundle(str(tmp_path / "acting.bundle"), compiled(ACTING).files)
    return tmp_path / "acting.bundle"


def test_the_handler_does_in_every_variant_what_the_actions_of_the_manifest_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need("cc", compiler() is not None, HOW)
    place = acting(tmp_path)
    assert run(["verify", str(place), "--on", "handler", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["variants"] for each in told["results"]] == [
        ["base policy"], ["base policy, vCPUs 1-3"], ["profile loud"], ["profile loud, vCPUs 1-3"],
    ]  # fmt: skip
    assert all(each["accesses"] > 440_000 for each in told["results"])


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("{ UINT64_C(0x5a), ", "{ UINT64_C(0x5b), ", "in 0x60 width 1: expected quiet=5a,0 (vm.pol:7), found quiet=5b"),
        ("{ UINT64_C(0xff00), ", "{ UINT64_C(0xfd00), ", "rdmsr 0xc0000080: expected real="),
        # The table of actions serves accesses that touch several ports; one port has its action in the steps.
        (
            "POLICYC_ACT_DROP, ",
            "POLICYC_ACT_EXIT, ",
            "in 0x80 width 2: expected quiet=ffff,0 (vm.pol:12), found exit:12",
        ),
    ],
)
def test_a_handler_that_acts_otherwise_is_found(
    before: str, after: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need("cc", compiler() is not None, HOW)
    source = acting(tmp_path) / "exit_handler.c"
    text = source.read_text()
    assert before in text
    source.write_text(text.replace(before, after))
    assert run(["verify", str(source.parent), "--on", "handler"]) == 1
    out = capsys.readouterr().out
    assert "altered: exit_handler.c" in out
    assert said in out


def test_c_of_a_bundle_is_run_only_where_the_handler_is_named() -> None:
    assert {each.name: each.unasked for each in EXECUTORS} == {name: name != "handler" for name in verify.ON}


KVM_POLICY = """\
language 1
target kvm
default passthrough
intercept msr 0x400..0x43f read
uarts: intercept msr 0xc0000081
intercept msr 0xc0010004..0xc0010017 write
intercept msr 0x4b564d00..0x4b564d07
"""


def turned(place: Path, seed: int, count: int) -> list[tuple[str, int, int, int, int]]:
    """Bits of the filter's bitmaps turned over in its file, chosen at random among those that KVM looks at: one access
    that each decides, and range, byte, bit and the value that it must have."""
    path = place / "kvm_filter.json"
    document = json.loads(path.read_text())
    where = [(number, bit) for number, each in enumerate(document["ranges"]) for bit in range(each["nmsrs"])]
    out = []
    for number, bit in random.Random(seed).sample(where, count):
        each = document["ranges"][number]
        bits = bytearray.fromhex(each["bitmap"])
        out.append(
            ("wrmsr" if each["flags"] == 2 else "rdmsr", each["base"] + bit, number, bit, bits[bit // 8] >> bit % 8 & 1)
        )
        bits[bit // 8] ^= 1 << bit % 8
        each["bitmap"] = bits.hex()
    path.write_text(json.dumps(document, indent=2) + "\n")
    return out


def test_bits_of_kvm_s_filter_turned_over_at_random_are_named_each_and_nothing_else_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need("kvm", not Kvm().missing(), "a /dev/kvm this user may open, on Linux 5.10 or newer")
    place = tmp_path / "kvm.bundle"
    write_bundle(str(place), compiled(KVM_POLICY).files)
    wrong = turned(place, seed=6, count=9)
    assert run(["verify", str(place), "--on", "kvm", "--format", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    (result,) = told["results"]
    found = {
        (each["form"], each["address"], each["range"], each["byte"] * 8 + each["bit"], each["must"])
        for each in result["differences"]
    }
    assert found == set(wrong)
    assert {each["image"] for each in result["differences"]} == {"kvm_filter.json"}


def test_a_wrong_bit_of_kvm_s_filter_is_told_with_rule_range_byte_and_bit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need("kvm", not Kvm().missing(), "a /dev/kvm this user may open, on Linux 5.10 or newer")
    place = tmp_path / "kvm.bundle"
    write_bundle(str(place), compiled("language 1\ntarget kvm\ndefault passthrough\nx: deny msr 0xc0000081\n").files)
    path = place / "kvm_filter.json"
    document = json.loads(path.read_text())
    document["ranges"][0]["bitmap"] = "ff" + document["ranges"][0]["bitmap"][2:]
    path.write_text(json.dumps(document, indent=2) + "\n")
    assert run(["verify", str(place), "--on", "kvm"]) == 1
    out = capsys.readouterr().out
    assert "altered: kvm_filter.json: its SHA-256 is not the one in the manifest\n" in out
    assert "rdmsr 0xc0000081: expected an exit (vm.pol:4 (x)), found no exit" in out
    assert "kvm_filter.json range 0 byte 0 bit 0 must be 0 (deny); 2 accesses differ for it" in out
    assert out.count("differs:") == 1


def test_bits_that_no_guest_can_see_are_named_and_said_to_be_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_for(executor("qemu-svm"))
    for name, at, mask in (("iopm.bin", 8192, 0b110), ("msrpm.bin", 7000, 0x10)):
        data = bytearray((folder / name).read_bytes())
        data[at] ^= mask
        (folder / name).write_bytes(data)
    assert run(["verify", str(folder), "--on", "qemu-svm"]) == 1
    out = capsys.readouterr().out
    assert "altered: iopm.bin: its SHA-256 is not the one in the manifest; no access that was executed shows it" in out
    for bit in ("iopm.bin byte 8192 bit 1", "iopm.bin byte 8192 bit 2", "msrpm.bin byte 7000 bit 4"):
        assert f"unseen: {bit} must be 1: no guest can tell, as no access reads it alone" in out
    assert "differs:" not in out
