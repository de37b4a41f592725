"""`show` lists what exits, whatever it is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from policyc.cli import frame
from tests.cli.sample import write

Captured = pytest.CaptureFixture[str]


def shown(capsys: Captured, *words: str) -> list[str]:
    assert frame.run(["show", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


def fields(capsys: Captured, *words: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads("\n".join(shown(capsys, *words, "--format", "json")))
    assert document["format_version"] == 1
    return document


def test_a_policy_in_ranges_with_names_and_actions(tmp_path: Path, capsys: Captured) -> None:
    got = fields(capsys, write(tmp_path))
    msr, io = got["spaces"]
    assert [(each["lo"], each["hi"], each["access"], each["does"], each["name"]) for each in msr["ranges"]] == [
        (0x1B, 0x1B, "rw", "inject(gp)", "IA32_APIC_BASE"),
        (0x3A, 0x3A, "rw", "inject(gp)", "IA32_FEATURE_CONTROL"),
        (0xC0000080, 0xC0000080, "write", "log, mask(and=0xfffffffffffffaff)", "IA32_EFER"),
    ]
    assert [(each["lo"], each["hi"], each["access"], each["does"]) for each in io["ranges"]] == [
        (0x64, 0x64, "out, width 1/2/4", "kill"),
        (0x3F8, 0x3FF, "inout, width 1/2/4", "exit"),
        (0xCF8, 0xCFF, "out, width 4", "forward(vpci) if value & 0x80000000 != 0x0, else passthrough"),
    ]
    assert io["ranges"][1]["name"] == "COM1"
    assert (msr["exits"], io["exits"]) == (
        {"read": [[0x1B, 0x1B], [0x3A, 0x3A]], "write": [[0x1B, 0x1B], [0x3A, 0x3A], [0xC0000080, 0xC0000080]]},
        {"ports": [[0x64, 0x64], [0x3F8, 0x3FF], [0xCF8, 0xCFF]]},
    )


def test_under_a_profile_and_on_a_vcpu(tmp_path: Path, capsys: Captured) -> None:
    lines = shown(capsys, write(tmp_path), "--profile", "hardened", "--vcpu", "0")
    assert any("0x1d9" in line and "write" in line and "IA32_DEBUGCTL" in line for line in lines)
    assert any("0x70..0x71" in line and "count, exit" in line for line in lines)


def test_what_equals_the_default_is_not_listed(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "closed.pol"
    path.write_text("language 1\ndefault exit\nallow msr 0x10\nintercept msr 0x11\nallow io 0x80\n")
    msr, io = fields(capsys, str(path))["spaces"]
    assert [(each["lo"], each["does"]) for each in msr["ranges"]] == [(0x10, "passthrough")]
    assert [(each["lo"], each["does"]) for each in io["ranges"]] == [(0x80, "passthrough")]


def image(size: int, *bits: int) -> bytes:
    data = bytearray(size)
    for bit in bits:
        data[bit // 8] |= 1 << bit % 8
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "data", "words", "ranges"),
    [
        # Quarters of 8192 bits: read-low, read-high, write-low, write-high.
        ("m", image(4096, 0x10, 0x11, 8192 + 0x80, 16384 + 0x11), [], [
            (0x10, 0x10, "read"), (0x11, 0x11, "rw"), (0xC0000080, 0xC0000080, "read"),
        ]),
        ("io.bin", image(8192, 0, 1, 0x7FFF, 0x8000, 0xFFFF), [], [
            (0, 1, "inout, width 1/2/4"), (0x7FFF, 0x8000, "inout, width 1/2/4"), (0xFFFF, 0xFFFF, "inout, width 1/2/4"),
        ]),
        ("x", image(8192, 0x60), ["--as", "io"], [(0x60, 0x60, "inout, width 1/2/4")]),
        # Two bits an MSR, the lower for reads; the third vector begins at byte 4096.
        ("x", image(8192, 2 * 0x1B + 1, 4096 * 8 + 2 * 0x131), ["--as", "msrpm"], [
            (0x1B, 0x1B, "write"), (0xC0010131, 0xC0010131, "read"),
        ]),
        ("x", image(12288, 0x3F8, 65536), [], [(0x3F8, 0x3F8, "inout, width 1/2/4")]),
        ("f", json.dumps({"format_version": 1, "flags": 0, "ranges": [
            {"flags": 2, "base": 0x10, "nmsrs": 2, "bitmap": "0200000000000000"},
        ]}).encode(), [], [(0x10, 0x10, "write")]),
    ],
    ids=["msr", "io", "io-as", "msrpm", "iopm", "kvm"],
)  # fmt: skip
def test_raw_images(
    name: str, data: bytes, words: list[str], ranges: list[tuple[int, int, str]], tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / name).write_bytes(data)
    (space,) = fields(capsys, str(tmp_path / name), *words)["spaces"]
    assert [(each["lo"], each["hi"], each["access"]) for each in space["ranges"]] == ranges


def test_8192_bytes_can_be_two_things(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "dump"
    path.write_bytes(bytes(8192))
    assert frame.run(["show", str(path)]) == 2
    assert "help: say which: --as io or --as msrpm" in capsys.readouterr().err


@pytest.mark.parametrize(("size", "kind"), [(4096, "io"), (100, "msr"), (12288, "kvm")])
def test_bytes_that_are_not_what_is_said(size: int, kind: str, tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "dump"
    path.write_bytes(bytes(size))
    assert frame.run(["show", str(path), "--as", kind]) == 2
    assert capsys.readouterr().err.startswith(f"policyc: {path}: ")


def test_a_bundle_is_checked_and_all_its_images_are_shown(tmp_path: Path, capsys: Captured) -> None:
    bundle = tmp_path / "vm.bundle"
    assert frame.run(["compile", write(tmp_path), "-o", str(bundle)]) == 0
    capsys.readouterr()
    lines = shown(capsys, str(bundle))
    assert lines[0].startswith("bundle of policy vm, made by policyc ")
    assert "profiles: hardened" in lines
    assert [line.split(":")[0] for line in lines if ".bin: " in line] == [
        "msr.bin",
        "io.bin",
        "msrpm.bin",
        "iopm.bin",
    ]
    assert not any("IA32_DEBUGCTL" in line for line in lines)
    assert any("IA32_DEBUGCTL" in line for line in shown(capsys, str(bundle), "--profile", "hardened"))
    assert any("0x70..0x71" in line for line in shown(capsys, str(bundle), "--vcpu", "0"))
    assert frame.run(["show", str(bundle), "--profile", "none"]) == 2
    (bundle / "msr.bin").write_bytes(bytes(4096))
    assert frame.run(["show", str(bundle)]) == 2
    assert "was altered" in capsys.readouterr().err


def test_a_folder_that_is_no_bundle(tmp_path: Path, capsys: Captured) -> None:
    assert frame.run(["show", str(tmp_path)]) == 2
    assert "it has no manifest.json" in capsys.readouterr().err


def test_a_map_draws_both_windows_and_the_ports(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.msr.bin"
    path.write_bytes(image(4096, *range(32), *range(16384, 16384 + 64)))
    monkeypatch.setenv("COLUMNS", "200")
    lines = shown(capsys, str(path), "--map", "always")
    # A character is 32 MSRs: all of the first exit, of the second only the writes.
    assert f"  0x0000 █▄{'·' * 62}  0x0..0x1f" in "\n".join(lines)
    assert sum(line.startswith(("  0x0", "  0x1", "  0xc000")) and "·" in line for line in lines) == 8
    assert not any("·" in line for line in shown(capsys, str(path)))


def test_a_policy_that_does_not_compile_exits_1(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "bad.pol"
    path.write_text("language 1\ndefault passthrough\nintercept msr IA32_EFFER\n")
    assert frame.run(["show", str(path), "--format", "json"]) == 1
    out, err = capsys.readouterr()
    assert [each["code"] for each in json.loads(out)["diagnostics"]] == ["E031"]
    assert err == ""


def test_long_lists_are_cut_unless_all_is_asked(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "m"
    path.write_bytes(b"\x55" * 1024 + bytes(3072))
    cut, whole = shown(capsys, str(path)), shown(capsys, str(path), "--all")
    assert len(whole) - len(cut) == 4096 - 64 - 1
    assert "  ... 4032 more ranges: --all lists them" in cut
