"""Every example is proven, refused with any one bit turned over, and proven again by the literal loop."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from policyc import pipeline
from policyc.proof import exhaustive
from policyc.proof.prove import ProofError, prove
from policyc.proof.rows import consulted, positions
from policyc.targets.base import Image

ROOT = Path(__file__).parents[2] / "examples"
MODULES = {"baseline.pol"}
"""Examples that are there to be imported: alone, their ``never`` lines do not hold."""
EXAMPLES = sorted({path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.pol")} - MODULES)


def compiled(name: str) -> pipeline.Compilation:
    return pipeline.compile_policy(str(ROOT / name))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 5


@pytest.mark.parametrize("name", EXAMPLES)
def test_one_bit_turned_over_in_any_image_of_any_variant_is_refused_and_named(name) -> None:
    rng = random.Random(name)
    found = compiled(name)
    for variant, targets in found.images.items():
        for target, files in targets.items():
            for image in files:
                if not image.name.endswith(".bin"):
                    continue
                position = rng.choice(positions(consulted(image.name)))
                data = bytearray(image.data)
                data[position // 8] ^= 1 << position % 8
                bad = tuple(Image(each.name, bytes(data)) if each is image else each for each in files)
                images = {**found.images, variant: {**targets, target: bad}}
                with pytest.raises(ProofError) as caught:
                    prove(found.policy, found.maps, images)
                places = [(each.variant, each.where, each.byte, each.bit) for each in caught.value.mismatches]
                assert places == [(variant, image.name, position // 8, position % 8)]


def test_exhaustive_compiles_by_the_literal_loop(monkeypatch) -> None:
    asked = []

    def instead(policy, maps, images, progress):
        asked.append((policy.name, set(images)))
        return prove(policy, maps, images)

    monkeypatch.setattr(exhaustive, "prove", instead)
    compiled("card.pol")
    assert asked == []
    found = pipeline.compile_policy(str(ROOT / "card.pol"), exhaustive=True)
    assert asked == [("card", set(found.maps))]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_literal_loop_passes_each_example(name) -> None:
    found = compiled(name)
    proof = exhaustive.prove(found.policy, found.maps, found.images)
    assert {each.subject for each in proof.compared} == set(found.targets)
    assert proof.accesses > 400_000 * len(found.maps) * len(found.targets)
