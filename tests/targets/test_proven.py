"""The images of all targets agree with the evaluator, which shares no code with them, over the whole domain."""

from __future__ import annotations

from hypothesis import given, settings

from policyc.proof.prove import prove
from policyc.semantics.decide import decide, variants
from policyc.targets.registry import NAMES, target
from policyc.targets.traps import traps_of
from tests.targets.random_policies import policies

CANNOT = {"T502", "T504", "T515"}
"""What keeps a filter from being built at all; T501 and T503 are promises that the images cannot hold or break."""


@settings(deadline=None, max_examples=25)
@given(policies())
def test_random_policies_compile_to_images_that_are_proven(subject) -> None:
    maps = {each: decide(subject, each) for each in variants(subject)}
    images = {
        variant: {
            name: target(name).images(traps_of(subject, decisions))
            for name in NAMES
            if not CANNOT & {each.code for each in target(name).problems(subject, (decisions,))}
        }
        for variant, decisions in maps.items()
    }
    prove(subject, maps, images)  # Raises ProofError on the first bit that differs.
