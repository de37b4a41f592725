"""Mistakes found in real hypervisors (known_bad.json: what, where, what a user should be told), each tried here.

Every one stands in exactly one of three tables: REPORTED (compiling it says so, with this code), LINTED (it compiles, as
it should, and lint says so, with this code), and RIGHT (a mistake of an implementation, which policyc must not make: a
test of its own).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from policyc.database.names import load
from policyc.lint.settings import Settings
from policyc.pipeline import Compilation, compile_policy
from policyc.review import review
from policyc.semantics.policy import DEFAULT_RULE, Variant
from policyc.vocabulary.access import MSR_WRITE
from policyc.vocabulary.diagnostic import ERROR, PolicyError
from tests.corpus.lists import HERE
from tests.corpus.test_lists import denied
from tests.handler.samples import WARNINGS, compiler, run, write_handler

BAD = {each["id"]: each for each in json.loads((HERE / "known_bad.json").read_text(encoding="utf-8"))}

DATABASE = load()


class Report(NamedTuple):
    code: str
    targets: tuple[str, ...]
    text: str


REPORTED = {
    # A handler is part of its rule, so it cannot cover more than the rule; there is no statement that would.
    "handler-wider-than-bitmap": Report("E001", ("vmx",), "handle msr 0x800..0x8ff\nintercept msr 0x800..0x83f"),
    "dead-allow": Report("E212", ("vmx",), "default exit\nallow io 0x60..0x64\nnever allow io 0x64"),
    "documented-but-not-intercepted": Report(
        "E211", ("vmx",), "default passthrough\nassert intercepted msr { 0x280..0x29f, 0x400..0x473 }"
    ),
    "duplicate-with-conflicting-action": Report(
        "E201",
        ("vmx",),
        "default passthrough\nlet msr EMULATED = { IA32_MCG_CAP, IA32_MCG_STATUS }\n"
        "intercept msr EMULATED -> forward(vmce)\ndeny msr { IA32_MCG_CAP, IA32_MCG_STATUS, IA32_MCG_CTL }",
    ),
    "name-number-swap": Report("E071", ("vmx",), "default passthrough\nlet msr IA32_APERF = 0xe7"),
    "unreachable-range-vmx": Report("T501", ("vmx",), "default exit\nallow msr 0xc0010015 read"),
    "filter-x2apic": Report("T502", ("kvm",), "default passthrough\nintercept msr 0x808"),
}

LINTED = {
    "rw-direction-swap": ("S419", "default passthrough\nintercept msr 0x80d write\nintercept msr 0x83f read"),
    "off-by-one-len-0x1f": ("S428", "default exit\nallow io 0x0 len 0x1f"),
    "off-by-one-len-0x3f": ("S428", "default exit\nallow io 0xc000 len 0x3f"),
    "off-by-one-len-0xff": ("S428", "default exit\nallow io 0xd000 len 0xff"),
    "partial-device-cf8": ("S408", "default passthrough\nintercept io 0xcf8 len 1"),
    "dangerous-passthrough-feature-control": ("S401", "default exit\nallow msr 0x3a write"),
    "dangerous-default-allow": ("S403", "default passthrough"),
    "dangerous-allow-port80": ("S423", "default exit\nallow io 0x80"),
}


def compiled(tmp_path: Path, text: str, *targets: str) -> Compilation:
    path = tmp_path / "vm.pol"
    path.write_text(f"language 1\n{text}\n")
    return compile_policy(str(path), targets=targets or ("vmx",))


def image(compilation: Compilation, target: str, name: str) -> bytes:
    return next(each.data for each in compilation.images[Variant()][target] if each.name == name)


def kvm_filter(compilation: Compilation) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(image(compilation, "kvm", "kvm_filter.json"))
    return found


def bit(data: bytes, at: int) -> int:
    return data[at // 8] >> at % 8 & 1


@pytest.mark.parametrize("name", REPORTED)
def test_a_known_mistake_is_refused_with_its_code(name: str, tmp_path: Path) -> None:
    report = REPORTED[name]
    with pytest.raises(PolicyError) as caught:
        compiled(tmp_path, report.text, *report.targets)
    assert [each.code for each in caught.value.diagnostics if each.severity == ERROR] == [report.code]


@pytest.mark.parametrize("name", LINTED)
def test_a_mistake_that_compiles_is_found_by_lint(name: str, tmp_path: Path) -> None:
    code, text = LINTED[name]
    compiled(tmp_path, text)
    found = review(str(tmp_path / "vm.pol"), Settings(), database=DATABASE).found
    lines = {each.primary.span.line for each in found if each.code == code and each.primary is not None}
    assert max(lines) == 1 + len(text.splitlines())


class TestRight:
    """RIGHT: named after the mistake, in the order of known_bad.json."""

    def test_io_index_1024(self, tmp_path: Path) -> None:
        data = image(compiled(tmp_path, "default passthrough\nintercept io { 0x2000, 0xa000 }"), "vmx", "io.bin")
        assert [port for port in range(0x10000) if bit(data, port)] == [0x2000, 0xA000]

    def test_bitmap_wider_than_handler(self, tmp_path: Path) -> None:
        """Every access that exits has an action: without one of its own, the hook of the hypervisor."""
        found = compiled(tmp_path, "default passthrough\nintercept msr 0x200..0x276 write")
        data = image(found, "vmx", "msr.bin")
        decisions = found.maps[Variant()]
        for msr in range(0x2000):
            chain = next(run.chain for run in decisions.columns[MSR_WRITE] if run.lo <= msr <= run.hi)
            assert bit(data, 2048 * 8 + msr) == (chain != (DEFAULT_RULE,))
            assert chain == (DEFAULT_RULE,) or found.policy.rules[chain[0]].actions[-1].name == "exit"

    @pytest.mark.parametrize("name", ["vendor-divergence", "backend-count-divergence"])
    def test_two_backends_of_one_policy_agree(self, name: str, tmp_path: Path) -> None:
        text = "default passthrough\nintercept msr { 0x2ff, 0x38f, 0xc0000080 } write\nintercept io 0x604 len 2"
        found = compiled(tmp_path, text, "vmx", "svm")
        msr, msrpm = image(found, "vmx", "msr.bin"), image(found, "svm", "msrpm.bin")
        for low, vmx, svm in ((0, 0, 0), (0xC0000000, 1024, 2048)):
            for at in range(0x2000):
                for write in (0, 1):
                    ours, theirs = bit(msr, (vmx + 2048 * write) * 8 + at), bit(msrpm, svm * 8 + 2 * at + write)
                    assert ours == theirs, hex(low + at)
        assert image(found, "vmx", "io.bin") == image(found, "svm", "iopm.bin")[:8192]

    def test_filter_out_of_range_dropped(self, tmp_path: Path) -> None:
        found = kvm_filter(compiled(tmp_path, "default passthrough\ndeny msr 0xc0000080", "kvm"))
        assert [write for write in (False, True) if denied(found, 0xC0000080, write)] == [False, True]

    def test_filter_too_many_ranges(self, tmp_path: Path) -> None:
        """One MSR in every 0x100, skipping x2APIC: no two touch, and two ranges of 0x3000 hold them all."""
        wanted = [at for at in range(0, 0x1900, 0x100) if at != 0x800]
        rules = "\n".join(f"intercept msr {at:#x}" for at in wanted)
        found = kvm_filter(compiled(tmp_path, f"default passthrough\n{rules}", "kvm"))
        assert len(wanted) > 16 >= len(found["ranges"])
        assert [msr for msr in range(0x2000) if denied(found, msr, False)] == wanted

    def test_filter_short_bitmap(self, tmp_path: Path) -> None:
        (one,) = kvm_filter(compiled(tmp_path, "default passthrough\nintercept msr 0x174", "kvm"))["ranges"]
        assert (one["base"], one["nmsrs"], len(bytes.fromhex(one["bitmap"]))) == (0x174, 1, 8)

    def test_filter_mask_bytes_as_bits(self, tmp_path: Path) -> None:
        found = kvm_filter(compiled(tmp_path, "default passthrough\nintercept msr 0x200", "kvm"))
        assert [msr for msr in range(0x3000) if denied(found, msr, True)] == [0x200]

    def test_layout_early_sdm(self, tmp_path: Path) -> None:
        text = "default passthrough\nintercept msr 0x10 write\nintercept msr 0xc0000080 read"
        data = image(compiled(tmp_path, text), "vmx", "msr.bin")
        assert [at for at in range(4096 * 8) if bit(data, at)] == [1024 * 8 + 0x80, 2048 * 8 + 0x10]

    def test_nested_io_and_semantics(self, tmp_path: Path) -> None:
        """Whether an access exits is asked of every byte it touches: one is enough."""
        text = "default passthrough\nintercept io 0x3f8"
        compiled(tmp_path, f'{text}\ntest "any byte" {{\n    in 0x3f5 width 4 => exit\n}}')
        with pytest.raises(PolicyError, match="E213"):
            compiled(tmp_path, f'{text}\ntest "all bytes" {{\n    in 0x3f5 width 4 => passthrough\n}}')

    def test_nested_io_wrap(self, tmp_path: Path) -> None:
        """The last port is not past the last port."""
        text = 'default passthrough\ntest "wrap" {\n    out 0xffff width 1 => passthrough\n'
        compiled(tmp_path, text + "    out 0xffff width 2 => exit\n}")
        with pytest.raises(PolicyError, match="E213"):
            compiled(tmp_path, text + "    out 0xffff width 2 => passthrough\n}")

    def test_iopm_tail(self, tmp_path: Path) -> None:
        data = image(compiled(tmp_path, "default passthrough", "svm"), "svm", "iopm.bin")
        assert len(data) == 12288
        assert data[8192] & 7 == 7

    def test_rip_before_emulation_and_value_compare_full_rax(self, tmp_path: Path) -> None:
        """The generated handler, run: status 2 is a fault with RIP where it was, 0 done, 4 the guest is stopped."""
        text = "default passthrough\nintercept msr 0x800..0x83f -> forward(vlapic)\n"
        text += "intercept io 0x604 out width 2 when value == 0x2000 -> kill"
        policy = compiled(tmp_path, text).policy
        source = write_handler(policy, tmp_path, ("vmx",))
        program = tmp_path / "mistakes"
        run([compiler("gcc"), "-std=c11", *WARNINGS, "-I", tmp_path, HERE / "mistakes.c", source, "-o", program])
        assert run([program]).splitlines() == [
            "fault status 2 rip +0 injected 13 written 0x0",
            "done status 0 rip +2 injected 0 written 0x0",
            "off status 4 rip +0 injected 0 written 0x0",
            "other status 0 rip +2 injected 0 written 0x2001",
        ]


RIGHT = {
    "io-index-1024",
    "bitmap-wider-than-handler",
    "vendor-divergence",
    "backend-count-divergence",
    "filter-out-of-range-dropped",
    "filter-too-many-ranges",
    "filter-short-bitmap",
    "filter-mask-bytes-as-bits",
    "layout-early-sdm",
    "nested-io-and-semantics",
    "nested-io-wrap",
    "iopm-tail",
    "value-compare-full-rax",
    "rip-before-emulation",
}


def test_every_known_mistake_is_in_one_table() -> None:
    assert len(BAD) == 29
    assert sorted([*REPORTED, *LINTED, *RIGHT]) == sorted(BAD)
