"""The compiled handler does with every access what the evaluator says, and the registers what the manuals say."""

from __future__ import annotations

import pytest

from tests.handler.harness import Harness, requests
from tests.handler.samples import everything


@pytest.mark.parametrize("target", ["vmx", "svm", "kvm"])
def test_every_access_from_user_mode_is_decided_as_the_evaluator_does(target, tmp_path) -> None:
    harness = Harness(everything(), tmp_path)
    asked = requests(targets=(target,), cpls=(3,), values=(0x8000_0000_8000_0041,), forms=("plain",))
    assert harness.mismatches(harness.variants[0], asked) == []


def test_every_access_of_every_variant_is_decided_as_the_evaluator_does(tmp_path) -> None:
    harness = Harness(everything(), tmp_path)
    for variant in harness.variants:
        assert harness.mismatches(variant, requests(targets=("vmx",))) == []


@pytest.mark.parametrize("target", ["svm", "kvm"])
def test_every_access_is_decided_alike_on_other_targets(target, tmp_path) -> None:
    harness = Harness(everything(), tmp_path)
    assert harness.mismatches(harness.variants[0], requests(targets=(target,))) == []
