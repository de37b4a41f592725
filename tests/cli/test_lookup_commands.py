"""`msr` and `port` tell what a number or a name is, and where its bits lie."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from policyc.cli import frame

Captured = pytest.CaptureFixture[str]

SITE = """\
- name: SITE_SCRATCH
  index: 0xc0001f00
  about: Scratch register of our own hypervisor.
  access: rw
  vendor: any
  source: our own manual
"""


def asked(capsys: Captured, *words: str, status: int = 0) -> tuple[str, str]:
    assert frame.run(words) == status
    out, err = capsys.readouterr()
    return out, err


def fields(capsys: Captured, *words: str, status: int = 0) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(asked(capsys, *words, "--format", "json", status=status)[0])
    assert document["format_version"] == 1
    return document


def test_a_number_gets_a_card_with_its_bits(capsys: Captured) -> None:
    out, err = asked(capsys, "msr", "0xc0000080")
    assert err == ""
    assert out.splitlines()[0] == "IA32_EFER  0xc0000080"
    # SDM vol. 3C, MSR-bitmap address: read-high at byte 1024, write-high at 3072; 0x80 is byte 16, bit 0
    assert "  VT-x      read: msr.bin byte 1040 bit 0; write: byte 3088 bit 0" in out.splitlines()
    # APM vol. 2 section 15.11: second vector at byte 2048, two bits an MSR; 2 * 0x80 is byte 32, bits 0 and 1
    assert "  SVM       read: msrpm.bin byte 2080 bit 0; write: byte 2080 bit 1" in out.splitlines()
    assert any("MSR_EFER" in line for line in out.splitlines())


def test_what_no_bitmap_can_decide_is_said(capsys: Captured) -> None:
    out, _ = asked(capsys, "msr", "HWCR")
    assert "  VT-x      in no window of the bitmap: every access exits" in out.splitlines()
    out, _ = asked(capsys, "msr", "IA32_X2APIC_TPR")
    assert "  KVM       never filtered (x2APIC)" in out.splitlines()


def test_a_member_of_a_row_is_shown_at_its_own_number(capsys: Captured) -> None:
    out, _ = asked(capsys, "msr", "IA32_MTRR_PHYSBASE3")
    lines = out.splitlines()
    assert lines[0] == "IA32_MTRR_PHYSBASE[3]  0x206"
    assert "  family    IA32_MTRR_PHYSBASE[0..9], 10 members, 0x200..0x212/2" in lines
    assert "  VT-x      read: msr.bin byte 64 bit 6; write: byte 2112 bit 6" in lines


def test_several_hits_stand_in_aligned_columns(capsys: Captured) -> None:
    out, _ = asked(capsys, "msr", "sysenter")
    lines = out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["0x174", "IA32_SYSENTER_CS", "rw"],
        ["0x175", "IA32_SYSENTER_ESP", "rw"],
        ["0x176", "IA32_SYSENTER_EIP", "rw"],
    ]
    assert len({line.index("syscall") for line in lines}) == 1


def test_two_meanings_of_one_number_are_both_shown(capsys: Captured) -> None:
    out, _ = asked(capsys, "msr", "0x40000000")
    assert "HV_X64_MSR_GUEST_OS_ID" in out
    assert "XEN_HYPERCALL_PAGE" in out


def test_nothing_found_is_exit_1_with_suggestions_on_standard_error(capsys: Captured) -> None:
    out, err = asked(capsys, "msr", "IA32_EFFER", status=1)
    assert out == ""
    assert err.splitlines()[0] == "policyc: no MSR matches `IA32_EFFER`"
    assert "did you mean IA32_EFER (0xc0000080)" in err


def test_one_query_of_several_without_a_hit_is_exit_1(capsys: Captured) -> None:
    out, err = asked(capsys, "msr", "IA32_EFER", "IA32_LSTARR", status=1)
    assert out.startswith("IA32_EFER  0xc0000080\n")
    assert "IA32_LSTAR (0xc0000082)" in err


def test_json_says_what_text_says(capsys: Captured) -> None:
    (query,) = fields(capsys, "msr", "IA32_MC5_STATUS")["queries"]
    (hit,) = query["hits"]
    assert (hit["name"], hit["address"], hit["lo"], hit["count"], hit["stride"]) == (
        "IA32_MC_STATUS",
        0x415,
        0x401,
        32,
        4,
    )
    assert {"target": "vmx", "access": "read", "image": "msr.bin", "byte": 0x415 // 8, "bit": 5} in hit["bits"]
    (query,) = fields(capsys, "msr", "IA32_EFFER", status=1)["queries"]
    assert query["hits"] == []
    assert query["suggestions"][0] == {"name": "IA32_EFER", "address": 0xC0000080}


def test_a_port_shows_its_register_before_its_device(capsys: Captured) -> None:
    out, _ = asked(capsys, "port", "0x3fb")
    assert [line.split()[1] for line in out.splitlines()] == ["COM1_LCR", "COM1"]


def test_the_ports_of_a_device_have_a_row_of_bits(capsys: Captured) -> None:
    out, _ = asked(capsys, "port", "COM1")
    # SDM vol. 3C, I/O-bitmap addresses: port 0x3f8 is byte 127, bit 0 of bitmap A
    assert "  VT-x      io.bin byte 127 bit 0 .. byte 127 bit 7" in out.splitlines()


def test_own_names_are_looked_up_too(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    out, _ = asked(capsys, "msr", "scratch", "--db", str(path))
    assert out.startswith("SITE_SCRATCH  0xc0001f00\n")


def test_a_mistake_in_an_own_file_is_told_with_its_place(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.replace("rw", "ro"))
    out, err = asked(capsys, "msr", "scratch", "--db", str(path), status=1)
    assert out == ""
    assert "error[D003]: `ro` is not one of r, w, rw" in err
    assert "site.yaml:4:11" in err


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "binary"])
def test_an_own_file_that_is_none_is_exit_2(kind: str, tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "site.yaml"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    out, err = asked(capsys, "msr", "scratch", "--db", str(path), status=2)
    assert out == ""
    assert err.startswith("policyc: cannot read ")


def test_a_query_that_a_terminal_would_obey_is_escaped(capsys: Captured) -> None:
    _, err = asked(capsys, "msr", "\x1b]0;x\x07", status=1)
    assert "\x1b" not in err
