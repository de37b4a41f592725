"""A bundle's images as subjects: every variant that has some of its own, and what it is asked."""

from __future__ import annotations

from typing import NamedTuple

from policyc.bundle.read import Bundle
from policyc.verify.plan import Question, questions
from policyc.verify.results import alike, variant_name
from policyc.verify.told import Told, told

MSR_IMAGE = {"vmx": "msr.bin", "svm": "msrpm.bin"}
IO_IMAGE = {"vmx": "io.bin", "svm": "iopm.bin"}


class Subject(NamedTuple):
    """Images of a target, and what is expected of them. names: the variants that have them."""

    names: tuple[str, ...]
    target: str
    msr: bytes
    io: bytes
    told: Told
    asked: tuple[Question, ...]


def subjects(bundle: Bundle, target: str, profile: str | None = None) -> tuple[Subject, ...]:
    """What a bundle gives to be executed for ``vmx`` or ``svm``. profile: this one alone; None for all."""
    return tuple(_subject(bundle, numbers, target) for numbers in alike(bundle, target, profile))


def _subject(bundle: Bundle, numbers: list[int], target: str) -> Subject:
    images = bundle.manifest.variants[numbers[0]].images[target]
    expected = told(bundle.manifest, numbers[0], target)
    return Subject(
        tuple(variant_name(bundle, number) for number in numbers),
        target,
        bundle.file(images[MSR_IMAGE[target]]),
        bundle.file(images[IO_IMAGE[target]]),
        expected,
        questions(expected, target),
    )
