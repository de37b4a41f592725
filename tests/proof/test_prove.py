"""What the proof passes and, above all, what it refuses: any wrong bit, chain, default or filter, by its access."""

from __future__ import annotations

import itertools
import json
import random

import pytest

from policyc.proof.mismatch import KEPT
from policyc.proof.prove import Compared, ProofError, prove
from policyc.proof.rows import exits
from policyc.semantics.policy import (
    DEFAULT_RULE,
    EXIT,
    LAYER_IMPORT,
    LAYER_OVERRIDE,
    DecisionMap,
    Defaults,
    Policy,
    Run,
    Variant,
    VcpuClass,
)
from policyc.targets.base import Image
from policyc.vocabulary.access import Access
from tests.proof.build import PASS, TRAP, act, all_images, all_maps, cpl, policy, profile, rule, value

BASE = Variant()
SMALL = policy(
    rule("msr", (0xC0000080, 0xC0000080), columns=2),
    rule("io", (0x3F8, 0x3FF)),
    rule("msr", (0x10, 0x1B), actions=act("kill")),
    rule("io", (0x64, 0x64), columns=0x20, when=[value("==", 0xFE)], actions=act("kill")),
    rule("io", (0x60, 0x67), layer=LAYER_IMPORT),
    rule("io", (0xFFFF, 0xFFFF), verb="allow"),
)
LAYERED = policy(
    rule("io", (0x10, 0x20), layer=LAYER_IMPORT, actions=act("drop")),
    rule("io", (0x18, 0x18), verb="allow"),
    rule("io", (0x14, 0x1C), columns=0xE0, when=[value("<", 9), cpl("==", 0)], actions=act("log", "kill")),
    rule("msr", (0x100, 0x1FF), profile="tight"),
    rule("msr", (0x180, 0x180), verb="allow", profile="child"),
    rule("msr", (0x17F, 0x181), layer=LAYER_OVERRIDE, vcpus=((0, 3),)),
    profiles=(profile("tight", defaults=Defaults(TRAP, PASS, EXIT, None)), profile("child", "tight"), profile("same")),
    vcpus=(((0, 3),),),
)


def built(subject: Policy, targets=("vmx", "svm", "kvm")):
    maps = all_maps(subject)
    return maps, all_images(subject, maps, targets)


def refused(subject: Policy, maps, images) -> ProofError:
    with pytest.raises(ProofError) as caught:
        prove(subject, maps, images)
    return caught.value


def replaced(images, variant: Variant, name: str, data: bytes):
    """The images with one file's bytes changed."""
    return {
        **images,
        variant: {
            target: tuple(Image(name, data) if each.name == name else each for each in files)
            for target, files in images[variant].items()
        },
    }


def data_of(images, variant: Variant, name: str) -> bytes:
    return next(each.data for files in images[variant].values() for each in files if each.name == name)


@pytest.mark.parametrize("subject", [policy(), SMALL, LAYERED], ids=["empty", "small", "layered"])
def test_what_plain_loops_build_is_proven(subject) -> None:
    proof = prove(subject, *built(subject))
    variants = len(subject.vcpu_classes) * (1 + len(subject.profiles))
    assert proof.variants == variants
    assert Compared("vmx", "wrmsr", 16384 * variants) in proof.compared
    assert Compared("svm", "rdmsr", 24576 * variants) in proof.compared
    assert Compared("kvm", "rdmsr", 2**32 * variants) in proof.compared
    assert Compared("vmx", "in", 3 * 65536 * variants) in proof.compared
    assert Compared("map", "out", 3 * 65536 * variants) in proof.compared
    assert not [each for each in proof.compared if each.subject == "kvm" and each.kind in ("in", "out")]


def test_variants_with_the_same_rules_and_defaults_are_shared() -> None:
    # Base and profile same: on either class alike.
    assert prove(LAYERED, *built(LAYERED)).shared == 2
    assert prove(SMALL, *built(SMALL)).shared == 0


PLACES = [
    ("msr.bin", 2, 0, Access("rdmsr", 0x10)),
    ("msr.bin", 1024 + 0x80 // 8, 0, Access("rdmsr", 0xC0000080)),
    ("msr.bin", 3072 + 0x80 // 8, 0, Access("wrmsr", 0xC0000080)),
    ("msr.bin", 2047, 7, Access("rdmsr", 0xC0001FFF)),
    ("msr.bin", 2048, 0, Access("wrmsr", 0x0)),
    ("io.bin", 0, 0, Access("in", 0x0, 1)),
    ("io.bin", 0x3F8 // 8, 3, Access("in", 0x3FB, 1)),
    ("io.bin", 4095, 7, Access("in", 0x7FFF, 1)),
    ("io.bin", 4096, 0, Access("in", 0x8000, 1)),
    ("io.bin", 8191, 7, Access("in", 0xFFFF, 1)),
    ("msrpm.bin", 0, 1, Access("wrmsr", 0x0)),
    ("msrpm.bin", 2048 + 0x80 // 4, 1, Access("wrmsr", 0xC0000080)),
    ("msrpm.bin", 6143, 6, Access("rdmsr", 0xC0011FFF)),
    ("iopm.bin", 0x64 // 8, 4, Access("in", 0x64, 1)),
    ("iopm.bin", 8191, 7, Access("in", 0xFFFF, 1)),
    ("iopm.bin", 8192, 0, Access("in", 0xFFFF, 4)),
    ("iopm.bin", 8192, 2, Access("in", 0xFFFF, 4)),
]


@pytest.mark.parametrize(("name", "byte", "bit", "access"), PLACES)
def test_one_flipped_bit_is_refused_by_exactly_its_access(name, byte, bit, access) -> None:
    maps, images = built(SMALL)
    data = bytearray(data_of(images, BASE, name))
    data[byte] ^= 1 << bit
    error = refused(SMALL, maps, replaced(images, BASE, name, bytes(data)))
    assert error.count == 1
    (found,) = error.mismatches
    assert (found.where, found.byte, found.bit, found.access) == (name, byte, bit, access)
    assert found.found.startswith(str(data[byte] >> bit & 1))
    assert found.expected.startswith(str(1 - (data[byte] >> bit & 1)))


def test_the_rule_of_a_wrong_bit_is_named() -> None:
    maps, images = built(SMALL)
    data = bytearray(data_of(images, BASE, "msr.bin"))
    data[3072 + 16] = 0
    error = refused(SMALL, maps, replaced(images, BASE, "msr.bin", bytes(data)))
    assert error.mismatches[0].rule == 0
    assert str(error) == (
        "vCPU class 0: msr.bin byte 3088 bit 0: wrmsr 0xc0000080: expected 1 (exits) (rule 0), found 0 (does not exit)"
    )


@pytest.mark.parametrize("name", ["msr.bin", "io.bin", "msrpm.bin", "iopm.bin"])
def test_any_flipped_bit_of_any_variant_is_refused(name) -> None:
    rng = random.Random(name)
    maps, images = built(LAYERED)
    used = {"msrpm.bin": 6144 * 8, "iopm.bin": 65539}
    for variant in rng.sample(list(maps), 4):
        original = data_of(images, variant, name)
        for position in rng.sample(range(used.get(name, len(original) * 8)), 12):
            data = bytearray(original)
            data[position // 8] ^= 1 << position % 8
            error = refused(LAYERED, maps, replaced(images, variant, name, bytes(data)))
            assert [(m.variant, m.where, m.byte, m.bit) for m in error.mismatches] == [
                (variant, name, position // 8, position % 8)
            ]


def test_many_mismatches_are_counted_and_some_named() -> None:
    maps, images = built(SMALL)
    error = refused(SMALL, maps, replaced(images, BASE, "io.bin", b"\xff" * 8192))
    assert error.count == 65536 - 16
    assert len(error.mismatches) == KEPT


def test_bytes_that_no_hardware_reads_are_not_compared() -> None:
    maps, images = built(SMALL)
    data = data_of(images, BASE, "msrpm.bin")[:6144] + bytes(2048)
    prove(SMALL, maps, replaced(images, BASE, "msrpm.bin", data))


@pytest.mark.parametrize("name", ["msr.bin", "io.bin", "msrpm.bin", "iopm.bin"])
def test_a_short_a_long_and_a_missing_image_are_refused(name) -> None:
    maps, images = built(SMALL)
    data = data_of(images, BASE, name)
    for wrong in (data[:-1], data + b"\0", b""):
        (found,) = refused(SMALL, maps, replaced(images, BASE, name, wrong)).mismatches
        assert (found.where, found.expected) == (name, f"{len(data)} bytes")
    without = {
        BASE: {target: tuple(each for each in files if each.name != name) for target, files in images[BASE].items()}
    }
    assert "the images" in str(refused(SMALL, maps, without))


def test_an_image_nobody_reads_and_an_unknown_target_are_refused() -> None:
    maps, images = built(SMALL)
    extra = {BASE: {**images[BASE], "kvm": (*images[BASE]["kvm"], Image("more.bin", b""))}}
    assert "more.bin" in str(refused(SMALL, maps, extra))
    assert refused(SMALL, maps, {BASE: {"sparc": (Image("a", b""),)}}).mismatches[0].where == "sparc"


def test_a_variant_without_map_or_images_is_refused() -> None:
    maps, images = built(LAYERED)
    gone = Variant("tight", 1)
    less = {variant: each for variant, each in maps.items() if variant != gone}
    assert refused(LAYERED, less, images).mismatches[0].variant == gone
    fewer = {variant: each for variant, each in images.items() if variant != gone}
    assert refused(LAYERED, maps, fewer).mismatches[0].variant == gone
    assert refused(LAYERED, less, fewer).count == 2
    assert refused(LAYERED, {}, {}).count == 1
    # Whole profiles may be left out: a compile of one profile has that one alone.
    one = [variant for variant in maps if variant.profile == "child"]
    assert prove(LAYERED, {v: maps[v] for v in one}, {v: images[v] for v in one}).variants == 2
    odd = {**images, gone: {"vmx": images[gone]["vmx"]}}
    assert "targets" in str(refused(LAYERED, maps, odd))


def test_classes_that_a_rule_straddles_or_that_miss_a_vcpu_are_refused() -> None:
    subject = policy(rule("io", (1, 1), vcpus=((0, 1),)), vcpus=(((0, 3),),))
    assert "bind all of a class" in str(refused(subject, *built(subject)))
    hole = policy()._replace(vcpu_classes=(VcpuClass("rest", ((1, 4095),)),))
    assert "share out" in str(refused(hole, *built(hole)))
    twice = policy()._replace(vcpu_classes=(VcpuClass("rest", ((0, 4095),)), VcpuClass("7", ((7, 7),))))
    assert "share out" in str(refused(twice, *built(twice)))


def changed(maps: dict[Variant, DecisionMap], variant: Variant, column: int, runs: tuple[Run, ...]):
    columns = list(maps[variant].columns)
    columns[column] = runs
    return {**maps, variant: maps[variant]._replace(columns=tuple(columns))}


def test_a_changed_link_of_any_run_is_refused_at_its_first_address() -> None:
    maps, images = built(LAYERED)
    for variant in (Variant("tight", 1), Variant("child", 0)):
        decisions = maps[variant]
        for column, runs in enumerate(decisions.columns):
            for index, run in enumerate(runs):
                wrong = (0,) if run.chain[0] else (1,)
                bad = (*runs[:index], run._replace(chain=wrong), *runs[index + 1 :])
                found = refused(LAYERED, changed(maps, variant, column, bad), images).mismatches[0]
                assert (found.variant, found.where, found.access.column) == (variant, "decision map", column)
                assert found.access.address == run.lo
                assert found.rule == (None if run.chain[0] == DEFAULT_RULE else run.chain[0])


def test_a_swapped_shortened_or_lengthened_chain_is_refused() -> None:
    maps, images = built(LAYERED)
    column = 5
    runs = maps[BASE].columns[column]
    index = next(i for i, run in enumerate(runs) if run.chain == (2, 0))
    for wrong in ((0, 2), (2,), (0,), (2, 0, DEFAULT_RULE), (2, 2, 0), (2, 1), ()):
        bad = (*runs[:index], runs[index]._replace(chain=wrong), *runs[index + 1 :])
        error = refused(LAYERED, changed(maps, BASE, column, bad), images)
        assert error.count == 1
        assert error.mismatches[0].access == Access("out", runs[index].lo, 1)
        assert error.mismatches[0].expected == "rule 2, else rule 0"


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_run_that_ends_one_address_off_is_refused(shift) -> None:
    maps, images = built(LAYERED)
    for column in (0, 3, 6):
        runs = maps[Variant("child", 0)].columns[column]
        for index in range(len(runs) - 1):
            left, right = runs[index], runs[index + 1]
            moved = (left._replace(hi=left.hi + shift), right._replace(lo=right.lo + shift))
            bad = (*runs[:index], *moved, *runs[index + 2 :])
            error = refused(LAYERED, changed(maps, Variant("child", 0), column, bad), images)
            assert error.mismatches[0].access.column == column


def test_a_dropped_repeated_or_misplaced_run_is_refused() -> None:
    maps, images = built(LAYERED)
    runs = maps[BASE].columns[4]
    for index in range(len(runs)):
        for bad in ((*runs[:index], *runs[index + 1 :]), (*runs[: index + 1], *runs[index:])):
            assert "without gap" in str(refused(LAYERED, changed(maps, BASE, 4, bad), images))
    assert "without gap" in str(refused(LAYERED, changed(maps, BASE, 4, ()), images))
    assert "without gap" in str(refused(LAYERED, changed(maps, BASE, 4, runs[::-1]), images))


def test_runs_split_where_their_chains_are_equal_are_the_same_map() -> None:
    maps, images = built(LAYERED)
    first, *rest = maps[BASE].columns[0]
    split = (first._replace(hi=3), first._replace(lo=4), *rest)
    prove(LAYERED, changed(maps, BASE, 0, split), images)


def test_a_map_of_another_variant_or_other_defaults_is_refused() -> None:
    maps, images = built(LAYERED)
    tight = Variant("tight", 0)
    assert refused(LAYERED, {**maps, BASE: maps[tight]}, images)
    for wrong in (
        maps[BASE]._replace(variant=Variant("same", 0)),
        maps[BASE]._replace(defaults=Defaults(TRAP, PASS, EXIT, None)),
        maps[BASE]._replace(columns=maps[BASE].columns[:7]),
    ):
        error = refused(LAYERED, {**maps, BASE: wrong}, images)
        assert (error.mismatches[0].variant, error.mismatches[0].where) == (BASE, "decision map")


def test_images_made_for_other_defaults_are_refused() -> None:
    images = all_images(policy(), all_maps(policy()))
    for defaults in (Defaults(TRAP, PASS, EXIT, None), Defaults(PASS, TRAP, EXIT, None)):
        other = policy(defaults=defaults)
        assert refused(other, all_maps(other), images).count > 8192


FILTERED = policy(
    rule("msr", (0x10, 0x5F)), rule("msr", (0x20, 0x20), verb="allow"), rule("msr", (0x40, 0x40), columns=2)
)


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (lambda f: f.update(flags=1), Access("rdmsr", 0)),
        (lambda f: f["ranges"][0].update(flags=2), Access("rdmsr", 0x10)),
        (lambda f: f["ranges"][0].update(flags=3), Access("wrmsr", 0x20)),
        (lambda f: f["ranges"][0].update(base=0x11), Access("rdmsr", 0x10)),
        (lambda f: f["ranges"][0].update(nmsrs=0xF), Access("rdmsr", 0x1F)),
        (lambda f: f["ranges"][0].update(nmsrs=0x11), Access("rdmsr", 0x20)),
        (lambda f: f["ranges"][0].update(bitmap="01" + "00" * 7), Access("rdmsr", 0x10)),
        (lambda f: f["ranges"][0].update(bitmap="0080" + "00" * 6), Access("rdmsr", 0x1F)),
        (lambda f: f["ranges"].pop(0), Access("rdmsr", 0x10)),
        (lambda f: f["ranges"].insert(0, dict(f["ranges"][0], bitmap="ff" * 8)), Access("rdmsr", 0x10)),
        (lambda f: f["ranges"][0].update(nmsrs=0), Access("rdmsr", 0x10)),
        (lambda f: f["ranges"][0].update(flags=4), None),
        (lambda f: f["ranges"].extend([f["ranges"][0]] * 16), None),
        (lambda f: f.pop("ranges"), None),
    ],
)
def test_a_tampered_filter_is_refused_at_its_first_access(change, first) -> None:
    if first == Access("wrmsr", 0x20):
        subject = policy(rule("msr", (0x20, 0x20), columns=1))
    else:
        subject = FILTERED
    maps, images = built(subject, ["kvm"])
    content = json.loads(data_of(images, BASE, "kvm_filter.json"))
    change(content)
    if first == Access("rdmsr", 0x10) and content["ranges"][0]["nmsrs"] == 0:
        content["ranges"][0]["bitmap"] = ""
    bad = replaced(images, BASE, "kvm_filter.json", json.dumps(content).encode())
    found = refused(subject, maps, bad).mismatches[0]
    assert (found.where, found.access) == ("kvm_filter.json", first)


def test_the_order_of_filter_ranges_counts() -> None:
    subject = policy(rule("msr", (0x10, 0x1F)))
    narrow = {"flags": 3, "base": 0x10, "nmsrs": 16, "bitmap": "00" * 8}
    wide = {"flags": 3, "base": 0, "nmsrs": 64, "bitmap": "ff" * 8}
    maps = all_maps(subject)

    def images(*ranges):
        text = json.dumps({"format_version": 1, "flags": 0, "ranges": ranges})
        return {BASE: {"kvm": (Image("kvm_filter.json", text.encode()),)}}

    prove(subject, maps, images(narrow, wide))
    error = refused(subject, maps, images(wide, narrow))
    assert [each.access for each in error.mismatches] == [Access("rdmsr", 0x10), Access("wrmsr", 0x10)]
    assert error.mismatches[0].rule == 0


def test_a_trap_on_an_access_kvm_has_no_range_for_is_refused() -> None:
    # A range that would hold the last MSR ends at 2^32, which the kernel reads as 0.
    subject = policy(rule("msr", (0xFFFFFFFF, 0xFFFFFFFF)))
    maps, images = built(subject, ["kvm"])
    error = refused(subject, maps, images)
    assert [each.access for each in error.mismatches] == [Access("rdmsr", 0xFFFFFFFF), Access("wrmsr", 0xFFFFFFFF)]


def test_kvm_lets_x2apic_pass_and_its_neighbours_exit() -> None:
    subject = policy(rule("msr", (0x7FF, 0x900)))
    maps, images = built(subject)
    prove(subject, maps, images)
    for msr in (0x7FF, 0x900):
        other = policy(*[rule("msr", (each, each)) for each in (0x7FF, 0x900) if each != msr])
        other_images = all_images(other, all_maps(other), ["kvm"])
        error = refused(subject, maps, other_images)
        assert [each.access for each in error.mismatches] == [Access("rdmsr", msr), Access("wrmsr", msr)]


def test_wide_accesses_are_compared_beyond_their_bits(monkeypatch) -> None:
    # Were VMX to decide accesses past the last port by their bits, as SVM does, the evaluator would be wrong on them.
    monkeypatch.setattr("policyc.proof.prove.exits", lambda bits, width, past_exits: exits(bits, width, False))
    error = refused(SMALL, *built(SMALL, ["vmx"]))
    assert [each.access for each in error.mismatches] == [
        Access(kind, port, width)
        for kind in ("in", "out")
        for width in (2, 4)
        for port in range(0x10000 - width + 1, 0x10000)
    ]


def test_neighbouring_single_ports_of_every_pattern_are_proven_at_every_width() -> None:
    for pattern in itertools.product([0, 1], repeat=6):
        rules = [rule("io", (0x7FFC + at, 0x7FFC + at)) for at, bit in enumerate(pattern) if bit]
        rules += [rule("io", (0xFFFA + at, 0xFFFA + at), columns=0x48) for at, bit in enumerate(pattern) if bit]
        subject = policy(*rules)
        prove(subject, *built(subject, ["vmx", "svm"]))
