"""The compiled handler does with every access what the evaluator says, and the registers what the manuals say."""

from __future__ import annotations

import subprocess

import pytest

from tests.demand import need
from tests.handler import random_policies
from tests.handler.harness import Harness, requests
from tests.handler.native import AGAIN, FAULT, KILL, PENDING, REFUSED
from tests.handler.samples import TARGETS, compiler, everything


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    return Harness(everything(), tmp_path_factory.mktemp("verdicts"))


@pytest.mark.parametrize("target", ["vmx", "svm", "kvm"])
def test_every_access_from_user_mode_is_decided_as_the_evaluator_does(target, harness) -> None:
    asked = requests(targets=(target,), cpls=(3,), values=(0x8000_0000_8000_0041,), forms=("plain",))
    assert harness.mismatches(harness.variants[0], asked) == []


def test_every_access_of_every_variant_is_decided_as_the_evaluator_does(harness) -> None:
    for variant in harness.variants:
        assert harness.mismatches(variant, requests(targets=("vmx",))) == []


@pytest.mark.parametrize("target", ["svm", "kvm"])
def test_every_access_is_decided_alike_on_other_targets(target, harness) -> None:
    assert harness.mismatches(harness.variants[0], requests(targets=(target,))) == []


@pytest.mark.parametrize("answer", [FAULT, PENDING, KILL, AGAIN, REFUSED, 77])
@pytest.mark.parametrize("target", TARGETS)
def test_whatever_hooks_answer_is_carried_through(target, answer, harness) -> None:
    asked = [
        (request._replace(answer=answer), lo, min(hi, lo + 0x1000))
        for request, lo, hi in requests(targets=(target,), cpls=(0,), values=(0x8000_0041,))
    ]
    assert harness.mismatches(harness.variants[0], asked) == []


@pytest.mark.parametrize("seed", range(4))
def test_random_policies_are_decided_as_the_evaluator_does(seed, tmp_path) -> None:
    harness = Harness(random_policies.policy(seed), tmp_path)
    for number, variant in enumerate(harness.variants):
        target = TARGETS[(seed + number) % 3]
        values = random_policies.VALUES[number % 3 :: 2]
        asked = requests(targets=(target,), cpls=(number % 4,), values=values, forms=("plain",))
        assert harness.mismatches(variant, asked) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_many_random_policies_are_decided_as_the_evaluator_does(seed, tmp_path) -> None:
    harness = Harness(random_policies.policy(seed), tmp_path)
    # One target and one level a variant, in turn: all three together take minutes a policy and differ in decoding only.
    for number, variant in enumerate(harness.variants):
        target, cpl = TARGETS[(seed + number) % 3], (0, 3)[(seed // 3 + number) % 2]
        asked = requests(targets=(target,), cpls=(cpl,), values=random_policies.VALUES)
        assert harness.mismatches(variant, asked) == []


def test_32_bit_code_decides_alike(tmp_path) -> None:
    (tmp_path / "empty.c").write_text("#include <stdio.h>\nint main(void) { return 0; }\n", encoding="ascii")
    command = [compiler("gcc"), "-m32", tmp_path / "empty.c", "-o", tmp_path / "empty"]
    built = subprocess.run(command, capture_output=True, check=False).returncode == 0
    need("cc", built, "apt-get install gcc-multilib")
    harness = Harness(everything(), tmp_path, flags=("-m32", "-Os"))
    asked = requests(cpls=(3,), values=(0x8000_0000_8000_0041,), forms=("plain", "rep"))
    assert harness.mismatches(harness.variants[0], asked) == []
