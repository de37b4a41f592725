"""The literal loop finds what the fast proof finds, and passes what it passes."""

from __future__ import annotations

import pytest

from policyc.proof import exhaustive
from policyc.proof.mismatch import ProofError
from policyc.semantics.policy import Variant
from policyc.vocabulary.access import Access
from tests.proof.build import act, all_images, all_maps, policy, rule, value
from tests.proof.test_prove import LAYERED, data_of, replaced

BASE = Variant()
SUBJECT = policy(
    rule("msr", (0x10, 0x1B), actions=act("kill")),
    rule("msr", (0x4B564D00, 0x4B564D01), actions=act("drop")),
    rule("io", (0xCF8, 0xCFB), columns=0x80, when=[value("!=", 0, 0x80000000)], actions=act("kill")),
    rule("io", (0xFFFE, 0xFFFF)),
)


def refused(maps, images) -> ProofError:
    with pytest.raises(ProofError) as caught:
        exhaustive.prove(SUBJECT, maps, images)
    return caught.value


@pytest.mark.slow
def test_the_literal_loop_passes_and_counts_every_access() -> None:
    maps = all_maps(SUBJECT)
    seen: list[tuple[str, int, int]] = []
    images = all_images(SUBJECT, maps, ["vmx"])
    proof = exhaustive.prove(SUBJECT, maps, images, lambda *step: seen.append(step))
    counts = {(each.subject, each.kind): each.accesses for each in proof.compared}
    assert set(counts) == {("vmx", kind) for kind in ("rdmsr", "wrmsr", "in", "out")}
    assert counts["vmx", "in"] == 3 * 65536
    # Each access near the condition is made again with other values.
    assert 3 * 65536 < counts["vmx", "out"] < 3 * 65536 + 2000
    assert counts["vmx", "rdmsr"] == counts["vmx", "wrmsr"]
    assert 3 * 8192 < counts["vmx", "rdmsr"] < 3 * 8192 + 100
    assert seen[0][1:] == (0, 1)
    assert seen[-1] == ("done", 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "byte", "bit", "access"),
    [
        ("msr.bin", 2048 + 2, 0, Access("wrmsr", 0x10)),
        ("io.bin", 0x80 // 8, 0, Access("in", 0x7D, 4)),
        ("iopm.bin", 8192, 2, Access("in", 0xFFFF, 4)),
    ],
)
def test_a_flipped_bit_is_found_by_the_first_access_that_consults_it(name, byte, bit, access) -> None:
    maps = all_maps(SUBJECT)
    images = all_images(SUBJECT, maps, ["vmx" if name in ("msr.bin", "io.bin") else "svm"])
    data = bytearray(data_of(images, BASE, name))
    data[byte] ^= 1 << bit
    found = refused(maps, replaced(images, BASE, name, bytes(data))).mismatches[0]
    assert (found.where, found.byte, found.bit, found.access) == (name, byte, bit, access)


def test_a_wrong_chain_is_found_by_an_access_whose_value_tells() -> None:
    maps = all_maps(SUBJECT)
    images = all_images(SUBJECT, maps, ["vmx"])
    columns = list(maps[BASE].columns)
    columns[7] = tuple(run._replace(chain=run.chain[-1:]) for run in columns[7])
    bad = {BASE: maps[BASE]._replace(columns=tuple(columns))}
    error = refused(bad, images)
    # Everything else passes: ports that touch 0xcf8..0xcfb, with the one value that the condition holds for, or more.
    assert {each.where for each in error.mismatches} == {"decision map"}
    assert {each.access.kind for each in error.mismatches} == {"out"}
    assert all(each.access.value & 0x80000000 for each in error.mismatches)
    assert {each.access.address for each in error.mismatches} == set(range(0xCF5, 0xCFC))
    assert error.mismatches[0].access == Access("out", 0xCF5, 4, 0x80000000)
    assert error.mismatches[0].expected == "kill by rule 2"


@pytest.mark.slow
def test_a_profile_on_each_vcpu_class_passes_the_literal_loop_on_every_target() -> None:
    maps = {variant: each for variant, each in all_maps(LAYERED).items() if variant.profile == "child"}
    proof = exhaustive.prove(LAYERED, maps, all_images(LAYERED, maps))
    assert proof.variants == 2
    assert {each.subject for each in proof.compared} == {"vmx", "svm", "kvm"}
