"""Every real list compiles to the bytes that its hypervisor builds: from the example that states it, and from numbers.

SHA-256 of each image comes with the list. Of an MSRPM the first 6144 bytes count: processors do not read the rest,
which hypervisors fill as they like. KVM filters are compared by meaning, access by access: ranges can be cut in many
ways. KVM never filters x2APIC MSRs, so these are left out there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from policyc.pipeline import Compilation, compile_policy
from policyc.semantics.policy import Variant
from tests.corpus.lists import NAMES, RealList, load, naive_policy

EXAMPLES = Path(__file__).parents[2] / "examples"

# The example that states each list, and which of its profiles does.
STATED_BY = {
    "acrn_io_user_vm": ("hypervisors/acrn.pol", None),
    "acrn_vmx_default": ("hypervisors/acrn.pol", None),
    "acrn_vmx_lapic_passthrough": ("hypervisors/acrn.pol", "lapic_passthrough"),
    "acrn_vmx_pmu_passthrough": ("hypervisors/acrn.pol", "pmu_passthrough"),
    "bhyve_svm": ("hypervisors/bhyve_svm.pol", None),
    "bhyve_vmx": ("hypervisors/bhyve_vmx.pol", None),
    "harmony_contract": ("hypervisors/harmony.pol", None),
    "haxm_vmx": ("hypervisors/haxm.pol", None),
    "hedron_vmx": ("hypervisors/hedron.pol", None),
    "hedron_vmx_passthrough": ("hypervisors/hedron.pol", "passthrough_vcpu"),
    "hvpp_io_kbd": ("hypervisors/hvpp.pol", None),
    "jailhouse_io_apic_demo": ("jailhouse/apic_demo.pol", None),
    "jailhouse_io_e1000_demo": ("jailhouse/e1000_demo.pol", None),
    "jailhouse_io_imb_a180": ("jailhouse/imb_a180.pol", None),
    "jailhouse_io_ioapic_demo": ("jailhouse/ioapic_demo.pol", None),
    "jailhouse_io_ivshmem_demo": ("jailhouse/ivshmem_demo.pol", None),
    "jailhouse_io_linux_x86_demo": ("jailhouse/linux_x86_demo.pol", None),
    "jailhouse_svm_host_x2apic": ("jailhouse/hypervisor_svm.pol", None),
    "jailhouse_vmx": ("jailhouse/hypervisor_vmx.pol", None),
    "jailhouse_vmx_host_x2apic": ("jailhouse/hypervisor_vmx.pol", "host_x2apic"),
    "kvm_selftest_filter_deny": ("hypervisors/kvm_selftest_filter.pol", None),
    "kvm_svm_create": ("hypervisors/kvm_svm.pol", None),
    "kvm_vmx_create": ("hypervisors/kvm_vmx.pol", None),
    "kvm_vmx_cstate_pred": ("hypervisors/kvm_vmx.pol", "cstate_in_guest"),
    "noirvisor_svm": ("hypervisors/noirvisor_svm.pol", None),
    "noirvisor_vmx": ("hypervisors/noirvisor_vmx.pol", None),
    "openbsd_vmm_vmx": ("hypervisors/openbsd_vmm.pol", None),
    "qemu_rapl_filter": ("hypervisors/qemu_rapl.pol", None),
    "simplevisor_vmx": ("hypervisors/simplevisor.pol", None),
    "tgoskits_x86_vcpu_svm": ("hypervisors/tgoskits_svm.pol", None),
    "tgoskits_x86_vcpu_vmx": ("hypervisors/tgoskits_vmx.pol", None),
    "tgoskits_x86_vcpu_vmx_com1": ("hypervisors/tgoskits_vmx.pol", "emulate_com1"),
    "x86_vcpu_seed_vmx": ("hypervisors/x86_vcpu.pol", None),
    "xen_svm_baseline": ("hypervisors/xen_svm.pol", None),
    "xen_vmx_baseline": ("hypervisors/xen_vmx.pol", None),
    "xen_vmx_modern": ("hypervisors/xen_vmx.pol", "modern"),
}
MSRPM_READ = 6144
"""Bytes of an MSRPM that processors read."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def popcount(data: bytes) -> int:
    return int.from_bytes(data, "little").bit_count()


def images(compilation: Compilation, target: str, profile: str | None) -> dict[str, bytes]:
    return {image.name: image.data for image in compilation.images[Variant(profile)][target]}


def compare(each: RealList, found: Mapping[str, bytes]) -> None:
    if each.target == "kvm":
        compare_filter(each, json.loads(found["kvm_filter.json"]))
        return
    compared = 0
    for what, facts in each.expected.items():
        COMPARE[what](facts, found)
        compared += 1
    assert compared


def compare_msr_bitmap(facts: dict[str, int | str], found: Mapping[str, bytes]) -> None:
    data = found["msr.bin"]
    assert len(data) == facts["bytes"]
    quarters = ("read_low", "read_high", "write_low", "write_high")
    assert {name: popcount(data[at * 1024 :][:1024]) for at, name in enumerate(quarters)} == {
        name: facts[f"popcount_{name}"] for name in quarters
    }
    assert sha256(data) == facts["sha256"]


def compare_io_bitmap(facts: dict[str, int | str], found: Mapping[str, bytes]) -> None:
    data = found["io.bin"]
    assert len(data) == facts["bytes"]
    for half, bits in (("a", data[:4096]), ("b", data[4096:])):
        assert popcount(bits) == facts[f"popcount_{half}"]
        assert sha256(bits) == facts[f"sha256_{half}"]
    assert sha256(data) == facts["sha256"]


def compare_msrpm(facts: dict[str, int | str], found: Mapping[str, bytes]) -> None:
    data = found["msrpm.bin"]
    assert len(data) == facts["bytes"]
    assert popcount(data[:MSRPM_READ]) == facts["popcount_first_6144"]
    assert sha256(data[:MSRPM_READ] + bytes([int(facts["reserved_fill"])]) * 2048) == facts["sha256"]


def compare_iopm(facts: dict[str, int | str], found: Mapping[str, bytes]) -> None:
    data = found["iopm.bin"]
    assert len(data) == facts["bytes"]
    assert popcount(data[:8192]) == facts["popcount_first_8192"]
    assert data[8192] == facts["tail_byte_8192"]
    assert sha256(data) == facts["sha256"]


COMPARE = {
    "vmx_msr_bitmap": compare_msr_bitmap,
    "vmx_io_bitmap": compare_io_bitmap,
    "svm_msrpm": compare_msrpm,
    "svm_iopm": compare_iopm,
}


def denied(filter_: dict, msr: int, write: bool) -> bool:
    """As KVM's documentation says: the first range that holds the MSR and has the access in its flags decides."""
    for each in filter_["ranges"]:
        if each["flags"] & (2 if write else 1) and each["base"] <= msr < each["base"] + each["nmsrs"]:
            at = msr - each["base"]
            return not bytes.fromhex(each["bitmap"])[at // 8] >> at % 8 & 1
    return bool(filter_["flags"])


def compare_filter(each: RealList, filter_: dict) -> None:
    """Every MSR of KVM's and of the list's ranges, and one beside each end, in both directions."""
    asked = set()
    for lo, hi, _ in each.msr:
        asked.update(range(max(lo - 1, 0), hi + 2))
    for one in filter_["ranges"]:
        asked.update(range(max(one["base"] - 1, 0), one["base"] + one["nmsrs"] + 1))
    asked -= set(range(0x800, 0x900))
    exits = {(msr, letter) for lo, hi, letters in each.msr for msr in range(lo, hi + 1) for letter in letters}
    listed = {msr for lo, hi, _ in each.msr for msr in range(lo, hi + 1)}
    for msr in asked:
        for write, letter in ((False, "r"), (True, "w")):
            expected = (msr, letter) in exits if msr in listed else each.default_exits
            assert denied(filter_, msr, write) == expected, (hex(msr), letter)


@pytest.mark.parametrize("name", NAMES)
def test_the_example_gives_the_hypervisors_image(name: str) -> None:
    path, profile = STATED_BY[name]
    each = load(name)
    compilation = compile_policy(str(EXAMPLES / path))
    assert compilation.targets == (each.target,)
    compare(each, images(compilation, each.target, profile))


@pytest.mark.parametrize("name", NAMES)
def test_the_list_as_bare_numbers_gives_the_hypervisors_image(name: str, tmp_path: Path) -> None:
    each = load(name)
    path = tmp_path / "vm.pol"
    path.write_text(naive_policy(each))
    compare(each, images(compile_policy(str(path)), each.target, None))


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("jailhouse_io_")])
def test_a_cells_ports_are_the_same_bits_on_amd(name: str, tmp_path: Path) -> None:
    """Jailhouse fills what follows the last port with ones."""
    each = load(name)
    path = tmp_path / "vm.pol"
    path.write_text(naive_policy(each).replace("target vmx", "target svm"))
    iopm = images(compile_policy(str(path)), "svm", None)["iopm.bin"]
    assert sha256(iopm[:8192]) == each.expected["vmx_io_bitmap"]["sha256"]
    assert iopm[8192:] == b"\xff" * 4096


def test_every_list_is_stated_by_an_example() -> None:
    assert sorted(STATED_BY) == NAMES


def test_every_example_of_a_hypervisor_states_a_list() -> None:
    imported = {"jailhouse/cell.pol", "jailhouse/msrs_vmx.pol"}
    files = {
        path.relative_to(EXAMPLES).as_posix()
        for folder in ("hypervisors", "jailhouse")
        for path in (EXAMPLES / folder).glob("*.pol")
    }
    assert files - imported == {path for path, _ in STATED_BY.values()}


def test_seventeen_lone_msrs_need_no_seventeen_ranges(tmp_path: Path) -> None:
    """QEMU gives each filtered MSR a range of its own and has sixteen."""
    path = tmp_path / "vm.pol"
    path.write_text("language 1\ndefault passthrough\n" + "".join(f"intercept msr {16 * n:#x}\n" for n in range(17)))
    found = json.loads(images(compile_policy(str(path), targets=("kvm",)), "kvm", None)["kvm_filter.json"])
    assert len(found["ranges"]) <= 16
    assert [msr for msr in range(0x200) if denied(found, msr, True)] == [16 * n for n in range(17)]
