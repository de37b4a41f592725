"""Processors that others wrote agree with the evaluator, and a wrong bit is found and named, whichever it is."""

from __future__ import annotations

import pytest

from policyc.verify import emulators
from policyc.verify.compare import compare, in_images
from policyc.verify.emulated import EMULATED
from policyc.verify.plan import Question
from policyc.verify.probes import Sweep
from policyc.verify.subjects import IO_IMAGE, MSR_IMAGE, Subject
from policyc.vocabulary.access import IN1, IN2, IN4, MSR_READ, MSR_WRITE
from tests.verify.subjects import consulted_bits, executor, flipped, need_for, subject

NAMES = [each.name for each in EMULATED]


def silent(_: object) -> None:
    pass


@pytest.mark.parametrize("name", NAMES)
def test_bits_turned_over_at_random_are_named_each_and_nothing_else_differs(name: str) -> None:
    made = executor(name)
    need_for(made)
    whole = subject(made.target)
    images = (MSR_IMAGE[made.target], IO_IMAGE[made.target])
    turned = {image: consulted_bits(image, 24, seed=len(name)) for image in images}
    if made.target == "svm":
        # Of the bits past the last port, 65536 alone can be seen: whatever reads the other two reads it as well.
        turned["iopm.bin"] = [each for each in turned["iopm.bin"] if each < 65520] + [65536]
    result = made.on(flipped(whole, turned), silent)
    found = {(each.spot.image, each.spot.byte * 8 + each.spot.bit) for each in result.compared.differences if each.spot}
    assert found == {(image, position) for image in images for position in turned[image]}
    assert result.compared.accesses > 225_000


def some(whole: Subject) -> Subject:
    """The same with a few accesses of each kind: what another model of the same maker is asked."""
    asked = []
    for question in whole.asked:
        keep = 0 if question.sweep.length > 300 and question.sweep.first % 0x8000 else min(question.sweep.length, 512)
        if keep:
            sweep = question.sweep._replace(length=keep)
            asked.append(Question(sweep, question.column, question.expected[:keep]))
    columns = {each.column for each in asked}
    assert columns >= {MSR_READ, MSR_WRITE, IN1, IN2, IN4}
    return whole._replace(asked=tuple(asked))


@pytest.mark.parametrize("model", [*emulators.INTEL_MODELS, "core2_penryn_t9600", "tigerlake"])
def test_models_of_intel_agree(model: str) -> None:
    made = executor("bochs-vmx")
    need_for(made)
    other = made._replace(run=lambda machine, listen: emulators.bochs(machine, model, listen))
    result = other.on(some(subject("vmx")), silent)
    assert model in result.tools[0]
    assert (result.compared.differing, result.compared.accesses > 5000) == (0, True)


def test_progress_goes_up_to_the_last_question() -> None:
    made = executor("qemu-svm")
    need_for(made)
    shares: list[float] = []
    few = some(subject("svm"))
    made.on(few, shares.append)
    assert shares == sorted(shares)
    assert len(shares) == len(few.asked)
    assert 0.9 < shares[-1] <= 1.0


def test_an_exit_that_tells_something_else_is_a_difference_though_the_bits_are_right() -> None:
    made = executor("qemu-svm")
    need_for(made)
    few = some(subject("svm"))
    said = made.ask(few.msr, few.io, [each.sweep for each in few.asked], silent)
    find = in_images({"msrpm.bin": few.msr, "iopm.bin": few.io})
    honest = compare(few.told, "svm", find, few.asked, said.rows, made.not_told)
    strict = compare(few.told, "svm", find, few.asked, said.rows, 0)
    assert honest.differences == ()
    assert strict.differing > 100
    assert all(each.spot is None and "an exit that says" in each.expected for each in strict.differences)


def test_what_is_asked_of_a_sweep_is_bounded() -> None:
    for target in ("vmx", "svm"):
        assert all(isinstance(each.sweep, Sweep) and each.sweep.length <= 8192 for each in subject(target).asked)
