"""kvm_filter.json: what the kernel makes of it, read with a naive copy of its walk, and by the kernel itself."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given, settings

from policyc.architecture import kvm as uapi
from policyc.semantics.policy import EXIT, Defaults, Variant
from policyc.targets.kvm_filter import range_fields
from policyc.targets.packing import Range
from policyc.targets.registry import target
from policyc.targets.traps import traps_of
from policyc.vocabulary.intervals import intersect, normal
from tests.growth import seconds
from tests.proof.build import PASS, TRAP, all_maps, decision_map, policy, rule, traps
from tests.targets.kvm_machine import Machine, absent
from tests.targets.manual import as_policy, kvm_accepts, kvm_msr, real
from tests.targets.random_policies import MSR_EDGES, policies

CLOSED = Defaults(TRAP, PASS, EXIT, None)
X2APIC = rule("msr", (0x800, 0x8FF), verb="allow")


def made(subject):
    (decisions,) = all_maps(subject).values()
    assert [each for each in target("kvm").problems(subject, (decisions,)) if each.severity == "error"] == []
    (image,) = target("kvm").images(traps_of(subject, decisions))
    found = json.loads(image.data)
    kvm_accepts(found)
    return found


def test_one_trapped_write_is_one_range_of_one_msr() -> None:
    filter_ = made(policy(rule("msr", (0xC0000080, 0xC0000080), columns=2)))
    about = filter_.pop("about")
    assert "a set bit" in about
    assert filter_ == {
        "format_version": 1,
        "default": "allow",
        "flags": 0,
        "ranges": [
            {
                "access": "write",
                "msrs": "0xc0000080",
                "denies": "0xc0000080",
                "flags": 2,
                "base": 0xC0000080,
                "nmsrs": 1,
                "bitmap": "0000000000000000",
            }
        ],
    }


def test_a_default_of_allow_without_exceptions_has_no_range() -> None:
    filter_ = made(policy())
    assert (filter_["flags"], filter_["ranges"]) == (0, [])


def test_a_default_of_deny_without_exceptions_has_the_range_that_kvm_insists_on() -> None:
    filter_ = made(policy(X2APIC, defaults=CLOSED))
    assert filter_["flags"] == 1
    (only,) = filter_["ranges"]
    assert (only["flags"], only["nmsrs"], only["bitmap"], only["allows"]) == (3, 1, "00" * 8, "nothing")
    assert all(kvm_msr(filter_, msr, write) for msr in MSR_EDGES if not 0x800 <= msr <= 0x8FF for write in (0, 1))


def test_seventeen_scattered_msrs_are_packed_by_span() -> None:
    filter_ = made(policy(*(rule("msr", (each, each)) for each in range(0x1010, 0x1010 + 17 * 0x100, 0x100))))
    (only,) = filter_["ranges"]
    assert (only["base"], only["nmsrs"], only["access"]) == (0x1010, 0x1001, "read, write")


@settings(deadline=None, max_examples=150)
@given(policies())
def test_the_kernels_walk_denies_exactly_what_traps(subject) -> None:
    decisions = decision_map(subject, Variant())
    found = target("kvm").problems(subject, (decisions,))
    if any(each.code in ("T504", "T515") for each in found):
        return
    filter_ = json.loads(target("kvm").images(traps_of(subject, decisions))[0].data)
    kvm_accepts(filter_)
    for msr in {min(max(edge + step, 0), 0xFFFFFFFF) for edge in MSR_EDGES for step in (-1, 0, 1)}:
        for column in (0, 1):
            wanted = traps(subject, decisions, column, msr) and not 0x800 <= msr <= 0x8FF
            assert kvm_msr(filter_, msr, column == 1) is wanted, hex(msr)


@pytest.mark.parametrize("name", ["xen_vmx_modern", "bhyve_svm", "jailhouse_vmx"])
def test_every_msr_of_the_windows_has_the_verdict_of_a_real_list(name) -> None:
    data = real(name)
    subject = as_policy(data)
    if data["default"] == "deny":
        subject = policy(*subject.rules, X2APIC, defaults=CLOSED)
    else:  # Jailhouse traps x2APIC writes, which KVM cannot.
        subject = policy(*subject.rules, X2APIC, defaults=subject.defaults)
    (decisions,) = all_maps(subject).values()
    (image,) = target("kvm").images(traps_of(subject, decisions))
    filter_ = json.loads(image.data)
    kvm_accepts(filter_)
    wanted = {(base + each, write): data["default"] == "deny" for base in (0, 0xC0000000, 0xC0010000)
              for each in range(0x2000) for write in (False, True)}  # fmt: skip
    for lo, hi, trapped in data["msr"]:
        for msr in range(int(lo, 16), int(hi, 16) + 1):
            wanted[msr, False], wanted[msr, True] = "r" in trapped, "w" in trapped
    for (msr, write), verdict in wanted.items():
        assert kvm_msr(filter_, msr, write) is (verdict and not 0x800 <= msr <= 0x8FF), hex(msr)


@pytest.mark.parametrize("name", ["qemu_rapl_filter", "kvm_selftest_filter_deny"])
def test_a_real_filters_ranges_are_written_with_its_bytes(name) -> None:
    data = real(name)
    denied = {1: [], 2: []}
    for lo, hi, trapped in data["msr"]:
        for letter, way in (("r", 1), ("w", 2)):
            if letter in trapped:
                denied[way].append((int(lo, 16), int(hi, 16)))
    bitmaps = b""
    for each in data["kvm_ranges"]:
        lo, hi = each["base"], each["base"] + each["nmsrs"] - 1
        inside = intersect(((lo, hi),), normal(denied[each["flags"] & 1 or 2]))
        written = range_fields(Range(each["flags"], lo, hi, inside), data["default"] == "deny")
        assert (written["flags"], written["base"], written["nmsrs"]) == (each["flags"], each["base"], each["nmsrs"])
        assert len(bytes.fromhex(written["bitmap"])) == each["bitmap_bytes"]
        bitmaps += bytes.fromhex(written["bitmap"])
    assert hashlib.sha256(bitmaps).hexdigest() == data["expected"]["sha256_concat_bitmaps"]


def test_qemus_five_ranges_are_one() -> None:
    assert len(made(as_policy(real("qemu_rapl_filter")))["ranges"]) == 1


def test_the_kernels_own_selftest_already_uses_the_fewest() -> None:
    filter_ = made(as_policy(real("kvm_selftest_filter_deny")))
    assert len(filter_["ranges"]) == len(real("kvm_selftest_filter_deny")["kvm_ranges"]) == 6
    for lo, hi, trapped in real("kvm_selftest_filter_deny")["msr"]:
        for msr in (int(lo, 16), int(hi, 16)):
            if not 0x800 <= msr <= 0x8FF:
                assert kvm_msr(filter_, msr, False) is ("r" in trapped)
                assert kvm_msr(filter_, msr, True) is ("w" in trapped)


def test_a_filter_takes_under_ten_milliseconds() -> None:
    subject = as_policy(real("xen_vmx_modern"))
    (decisions,) = all_maps(policy(*subject.rules, X2APIC, defaults=CLOSED)).values()
    subject = policy(*subject.rules, X2APIC, defaults=CLOSED)
    assert seconds(lambda: target("kvm").images(traps_of(subject, decisions)), 0.01) < 0.01


def test_the_numbers_are_those_of_the_kernels_header() -> None:
    # include/uapi/linux/kvm.h and arch/x86/include/uapi/asm/kvm.h: _IOW(0xae, 0xc6, 392 bytes).
    assert uapi.KVM_X86_SET_MSR_FILTER == 1 << 30 | (8 + 16 * 24) << 16 | 0xAE << 8 | 0xC6


INSTALLED = {
    "open": policy(rule("msr", (0x10, 0x10), (0xC0000080, 0xC0000080), columns=2), rule("msr", (0x174, 0x176))),
    "closed": policy(X2APIC, rule("msr", (0x10, 0x10), (0x174, 0x174), verb="allow", columns=1), defaults=CLOSED),
    "nothing": policy(X2APIC, defaults=CLOSED),
    "trick": policy(
        rule("msr", (0x10, 0x10), (0x3010, 0x3010), columns=1),
        rule("msr", (0x300F, 0x300F), (0x3010, 0x3010), columns=2),
    ),
    "top": policy(rule("msr", (0xFFFFFFFE, 0xFFFFFFFE))),
}
PROBES = (0x10, 0x173, 0x174, 0x175, 0x176, 0x177, 0x808, 0x1FFF, 0x300F, 0x3010, 0x3011, 0x40000000, 0xC0000080,
          0xC0000082, 0xC0010015, 0xFFFFFFFE, 0xFFFFFFFF)  # fmt: skip


@pytest.mark.parametrize("name", INSTALLED)
def test_the_running_kernel_takes_the_filter_and_exits_where_the_policy_says(name) -> None:
    absent()
    filter_ = made(INSTALLED[name])
    (decisions,) = all_maps(INSTALLED[name]).values()
    with Machine() as machine:
        machine.install(filter_)
        for msr in PROBES:
            for write in (False, True):
                wanted = traps(INSTALLED[name], decisions, int(write), msr)
                assert machine.exits(msr, write) is wanted, hex(msr)
