"""Images are put in force as the manuals demand, refused with a reason where they cannot be, and nothing else changes."""

from __future__ import annotations

import ctypes as c
import random
import re
import struct
from pathlib import Path

import pytest

from policyc.architecture import svm, vmx
from tests.apply import library as lib
from tests.handler.samples import WARNINGS, compiler, run

BITMAPS = 1 << vmx.USE_IO_BITMAPS | 1 << vmx.USE_MSR_BITMAPS
PAST_SET = bytes(8192) + b"\x07" + bytes(4095)


@pytest.mark.parametrize("machine", ["-m64", "-m32"])
@pytest.mark.parametrize("name", ["gcc", "clang"])
def test_every_optimisation_level_compiles_without_a_warning(name: str, machine: str, tmp_path: Path) -> None:
    more = ("-Wstrict-prototypes", "-Wmissing-prototypes", "-Wvla", "-Wundef")
    for source in lib.SOURCES:
        for level in ("-O0", "-O2", "-Os"):
            words = ["-std=c11", "-ffreestanding", *WARNINGS, *more, machine, level, "-c", source, "-o", tmp_path / "o"]
            run([compiler(name), *words])


def test_the_header_is_also_cplusplus_and_lines_have_80_columns(tmp_path: Path) -> None:
    run([compiler("g++"), "-x", "c++", "-std=c++17", *WARNINGS, "-fsyntax-only", lib.FOLDER / "policyc_apply.h"])
    for path in lib.FOLDER.iterdir():
        text = path.read_bytes().decode("ascii")
        assert [line for line in text.splitlines() if len(line.expandtabs(8)) > 80 or line != line.rstrip()] == []


def test_vmx_pages_are_set_before_the_controls_are_turned_on() -> None:
    vmcs = lib.Vmcs()
    assert vmcs.apply() == lib.APPLIED
    assert sorted(vmcs.log[:3]) == [(vmx.IO_BITMAP_A, 0x6000), (vmx.IO_BITMAP_B, 0x7000), (vmx.MSR_BITMAP, 0x5000)]
    assert vmcs.log[3:] == [(vmx.PRIMARY_CONTROLS, BITMAPS | 0x04006172)]


def test_vmx_controls_that_the_host_had_set_stay() -> None:
    vmcs = lib.Vmcs()
    vmcs.fields[vmx.PRIMARY_CONTROLS] = 1 << 7 | 1 << vmx.UNCONDITIONAL_IO_EXITING
    assert vmcs.apply() == lib.APPLIED
    assert vmcs.fields[vmx.PRIMARY_CONTROLS] == BITMAPS | 0x04006172 | 1 << 7 | 1 << 24


def test_without_true_controls_the_older_capability_msr_decides() -> None:
    vmcs = lib.Vmcs(x480=0)
    assert vmcs.apply() == lib.APPLIED
    assert vmcs.fields[vmx.PRIMARY_CONTROLS] == BITMAPS | 0x0401E172


@pytest.mark.parametrize(
    ("able", "status"),
    [
        (0xFFFFFFFF_00000000 & ~(1 << 32 + 25), lib.NO_IO),
        (0xFFFFFFFF_00000000 & ~(1 << 32 + 28), lib.NO_MSR),
        (0xFFFFFFFF_00000000 & ~(1 << 32 + 7), lib.BAD),
    ],
)
def test_a_control_that_the_processor_lacks_is_refused_and_nothing_is_written(able: int, status: int) -> None:
    vmcs = lib.Vmcs(x48e=able)
    vmcs.fields[vmx.PRIMARY_CONTROLS] = 1 << 7
    assert vmcs.apply() == status
    assert vmcs.log == []


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize(
    ("address", "status"),
    [
        (None, lib.NO_IMAGE),
        (0x5800, lib.UNALIGNED),
        (1 << 39, lib.TOO_HIGH),
        ((1 << 39) - 4096, lib.APPLIED),
        ((1 << 64) - 4096, lib.TOO_HIGH),
    ],
)
def test_each_vmx_page_is_held_to_alignment_and_maxphyaddr(which: int, address: int | None, status: int) -> None:
    vmcs = lib.Vmcs()
    pages: list[int | None] = [0x5000, 0x6000, 0x7000]
    pages[which] = address
    assert vmcs.apply(*pages) == status
    assert bool(vmcs.log) == (status == lib.APPLIED)


def test_a_processor_whose_vmx_takes_addresses_of_32_bits_is_held_to_them() -> None:
    vmcs = lib.Vmcs(x480=1 << 48, x482=0xFFFFFFFF_00000000)
    assert vmcs.apply(msr=1 << 32) == lib.TOO_HIGH
    assert vmcs.apply(msr=(1 << 32) - 4096) == lib.APPLIED


def test_a_swap_changes_the_pages_alone() -> None:
    vmcs = lib.Vmcs()
    assert vmcs.swap(0x5000, 0x6000, 0x7000) == lib.NOT_IN_FORCE
    vmcs.apply()
    vmcs.log.clear()
    assert vmcs.swap(0x15000, 0x16000, 0x17000) == lib.APPLIED
    assert sorted(vmcs.log) == [(0x2000, 0x16000), (0x2002, 0x17000), (0x2004, 0x15000)]


@pytest.mark.parametrize("field", [0x2000, 0x2002, 0x2004])
def test_a_swap_that_fails_half_way_puts_the_old_pages_back(field: int) -> None:
    vmcs = lib.Vmcs()
    vmcs.apply()
    before = dict(vmcs.fields)
    vmcs.broken = {field}
    assert vmcs.swap(0x15000, 0x16000, 0x17000) == lib.FAILED
    assert vmcs.fields == before


def test_an_apply_whose_controls_cannot_be_written_puts_the_old_pages_back() -> None:
    vmcs = lib.Vmcs()
    vmcs.broken = {vmx.PRIMARY_CONTROLS}
    assert vmcs.apply() == lib.FAILED
    assert vmcs.fields == {0x2000: 0, 0x2002: 0, 0x2004: 0, 0x4002: 0}


def test_svm_sets_bases_and_intercepts_and_takes_the_clean_bits_away() -> None:
    vmcb = bytearray(random.Random(6).randbytes(4096))
    before = bytes(vmcb)
    assert lib.apply_svm(vmcb, PAST_SET) == lib.APPLIED
    expected = bytearray(before)
    struct.pack_into("<Q", expected, svm.VMCB_MSRPM_BASE_PA, 0x40000)
    struct.pack_into("<Q", expected, svm.VMCB_IOPM_BASE_PA, 0x42000)
    misc = struct.unpack_from("<I", before, svm.VMCB_INTERCEPT_MISC1)[0]
    struct.pack_into("<I", expected, svm.VMCB_INTERCEPT_MISC1, misc | 1 << svm.IOIO_PROT | 1 << svm.MSR_PROT)
    expected[0x0C0] &= 0b1111_1100
    assert vmcb == expected


@pytest.mark.parametrize("bit", range(3))
def test_svm_refuses_an_iopm_that_lets_accesses_past_the_last_port_through(bit: int) -> None:
    vmcb = bytearray(4096)
    iopm = bytearray(PAST_SET)
    iopm[8192] ^= 1 << bit
    assert lib.apply_svm(vmcb, bytes(iopm)) == lib.WRAP_OPEN
    assert vmcb == bytes(4096)


@pytest.mark.parametrize("page", [1, 3, 4])
def test_svm_maps_must_lie_on_adjoining_pages(page: int) -> None:
    vmcb = bytearray(4096)
    moved = lib.apply_svm(vmcb, PAST_SET, lambda offset: 0x40000 + offset + (offset // 4096 == page) * 0x100000)
    assert moved == lib.SCATTERED
    assert vmcb == bytes(4096)


def test_svm_maps_must_end_below_maxphyaddr() -> None:
    end = 1 << 40
    assert lib.apply_svm(bytearray(4096), PAST_SET, lambda offset: end - 5 * 4096 + offset, bits=40) == lib.APPLIED
    assert lib.apply_svm(bytearray(4096), PAST_SET, lambda offset: end - 4 * 4096 + offset, bits=40) == lib.TOO_HIGH
    assert lib.apply_svm(bytearray(4096), PAST_SET, lambda offset: 0x40010 + offset) == lib.UNALIGNED
    assert lib.apply_svm(bytearray(4096), PAST_SET, missing=True) == lib.NO_IMAGE


def test_a_page_changed_in_place_never_opens_what_either_side_closes() -> None:
    old, new = (random.Random(seed).randbytes(4096) for seed in (1, 2))
    page = (c.c_uint8 * 4096).from_buffer_copy(old)
    made = lib.library()
    made.policyc_tighten(page, new, c.c_size_t(4096))
    assert bytes(page) == bytes(a | b for a, b in zip(old, new, strict=True))
    made.policyc_loosen(page, new, c.c_size_t(4096))
    assert bytes(page) == new


def test_every_status_has_words_of_its_own() -> None:
    words = {lib.library().policyc_apply_reason(status) for status in range(lib.FAILED + 2)}
    assert len(words) == lib.FAILED + 2


def test_the_example_of_the_integration_guide_compiles(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs/integration.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"(?:^    .*\n|^\n(?=    ))+", guide, re.MULTILINE)
    source = tmp_path / "example.c"
    source.write_text(
        '#include "policyc_apply.h"\n'
        "bool my_vmread(void *context, uint32_t field, uint64_t *value);\n"
        "bool my_vmwrite(void *context, uint32_t field, uint64_t value);\n"
        "uint64_t my_rdmsr(void *context, uint32_t index);\n"
        "uint64_t my_physical(void *context, const void *page);\n"
        "int fail(const char *why);\n"
        "int example(void *vcpu, const uint8_t *msr, const uint8_t *io);\n"
        "int example(void *vcpu, const uint8_t *msr, const uint8_t *io)\n"
        f"{{\n{example}\n    return 0;\n}}\n"
    )
    words = ["-std=c11", "-ffreestanding", *WARNINGS, "-I", lib.FOLDER, "-c", source, "-o", tmp_path / "example.o"]
    run([compiler("gcc"), *words])
