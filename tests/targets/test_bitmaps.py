"""The images of vmx and svm: against naive builders, the manuals, real hypervisors, and the clock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings

from policyc.semantics.policy import EXIT, Defaults, Variant
from policyc.targets.registry import target
from policyc.targets.traps import traps_of
from policyc.vocabulary.access import PORT_LAST
from tests.growth import seconds
from tests.proof.build import PASS, TRAP, all_maps, decision_map, policy, rule, svm_images, traps, vmx_images
from tests.targets.manual import as_policy, real, svm_io, svm_msr, vmx_io, vmx_msr
from tests.targets.random_policies import MSR_EDGES, PORT_EDGES, policies


def images(name, subject):
    (decisions,) = all_maps(subject).values()
    return {each.name: each.data for each in target(name).images(traps_of(subject, decisions))}


@settings(deadline=None, max_examples=40)
@given(policies())
def test_vmx_images_are_those_of_the_naive_builder(subject) -> None:
    decisions = decision_map(subject, Variant())
    assert target("vmx").images(traps_of(subject, decisions)) == vmx_images(subject, decisions)


@settings(deadline=None, max_examples=40)
@given(policies())
def test_svm_images_are_those_of_the_naive_builder_in_every_bit_the_processor_reads(subject) -> None:
    decisions = decision_map(subject, Variant())
    (msrpm, iopm), (naive_msrpm, naive_iopm) = (
        target("svm").images(traps_of(subject, decisions)),
        svm_images(subject, decisions),
    )
    assert msrpm == naive_msrpm
    assert iopm.data[:8192] == naive_iopm.data[:8192]
    assert iopm.data[8192] & 7 == naive_iopm.data[8192] & 7 == 7


@settings(deadline=None, max_examples=40)
@given(policies())
def test_an_access_exits_exactly_where_its_chain_or_a_neighbours_traps(subject) -> None:
    decisions = decision_map(subject, Variant())
    vmx = {each.name: each.data for each in target("vmx").images(traps_of(subject, decisions))}
    svm = {each.name: each.data for each in target("svm").images(traps_of(subject, decisions))}
    for msr in MSR_EDGES:
        for column in (0, 1):
            wanted = traps(subject, decisions, column, msr)
            low_or_high = msr <= 0x1FFF or 0xC0000000 <= msr <= 0xC0001FFF
            assert vmx_msr(vmx["msr.bin"], msr, column == 1) is (wanted or not low_or_high)
            amd = low_or_high or 0xC0010000 <= msr <= 0xC0011FFF
            assert svm_msr(svm["msrpm.bin"], msr, column == 1) is (wanted or not amd)
    for port in PORT_EDGES:
        for width in (1, 2, 4):
            touched = range(port, port + width)
            wanted = any(
                each > PORT_LAST or traps(subject, decisions, column, each)
                for each in touched
                for column in range(2, 8)
            )
            assert vmx_io(vmx["io.bin"], port, width) is wanted
            assert svm_io(svm["iopm.bin"], port, width) is wanted


def test_the_two_card_examples_set_nine_bits() -> None:
    made = images("vmx", policy(rule("msr", (0xC0000080, 0xC0000080), columns=2), rule("io", (0x3F8, 0x3FF))))
    assert {place: byte for place, byte in enumerate(made["msr.bin"]) if byte} == {3072 + 16: 1}
    assert {place: byte for place, byte in enumerate(made["io.bin"]) if byte} == {127: 0xFF}


def test_ports_2000_to_7fff_and_a000_to_ffff_have_their_bits() -> None:
    made = images("vmx", policy(rule("io", (0x2000, 0x2000), (0x7FFF, 0x7FFF), (0xA000, 0xA000), (0xFFFF, 0xFFFF))))
    assert {place: byte for place, byte in enumerate(made["io.bin"]) if byte} == {
        0x400: 1, 0xFFF: 0x80, 0x1400: 1, 0x1FFF: 0x80,
    }  # fmt: skip


def test_what_svm_does_not_read_is_as_documented() -> None:
    for default, rest in ((PASS, b"\x07" + b"\0" * 4095), (TRAP, b"\xff" * 4096)):
        made = images("svm", policy(defaults=Defaults(PASS, default, EXIT, None)))
        assert made["msrpm.bin"][6144:] == b"\xff" * 2048
        assert made["iopm.bin"][8192:] == rest


BITMAPS = ["bhyve_svm", "kvm_svm_create", "tgoskits_x86_vcpu_svm", "jailhouse_svm_host_x2apic", "xen_vmx_modern",
           "jailhouse_vmx", "tgoskits_x86_vcpu_vmx_com1", "acrn_io_user_vm"]  # fmt: skip
FILES = {"vmx_msr_bitmap": ("vmx", "msr.bin"), "vmx_io_bitmap": ("vmx", "io.bin"), "svm_iopm": ("svm", "iopm.bin"),
         "svm_msrpm": ("svm", "msrpm.bin")}  # fmt: skip


@pytest.mark.parametrize("name", BITMAPS)
def test_a_real_hypervisors_list_compiles_to_its_bytes(name) -> None:
    data = real(name)
    subject = as_policy(data)
    for kind, expected in data["expected"].items():
        which, file = FILES[kind]
        image = images(which, subject)[file]
        assert len(image) == expected["bytes"]
        if kind == "svm_msrpm":  # The reserved vector is as the hypervisor left it.
            image = image[:6144] + bytes([expected["reserved_fill"]]) * 2048
        assert hashlib.sha256(image).hexdigest() == expected["sha256"]


def makes(name, subject) -> Callable[[], object]:
    (decisions,) = all_maps(subject).values()
    return lambda: target(name).images(traps_of(subject, decisions))


@pytest.mark.parametrize("name", ["vmx", "svm"])
def test_an_image_set_takes_well_under_ten_milliseconds(name) -> None:
    scattered = policy(*(rule("msr", (index, index)) for index in range(0, 2000, 2)), rule("io", (0x3F8, 0x3FF)))
    assert seconds(makes(name, scattered), 0.01) < 0.01
    assert seconds(makes(name, policy(defaults=Defaults(TRAP, TRAP, EXIT, None))), 0.005) < 0.005
