"""A bundle on executors: every variant that has images of its own, asked and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import NamedTuple

from policyc.bundle.read import Bundle
from policyc.verify.compare import Compared, compare
from policyc.verify.executors import Executor
from policyc.verify.plan import Question, accesses, questions
from policyc.verify.told import Told, told

MSR_IMAGE = {"vmx": "msr.bin", "svm": "msrpm.bin"}
IO_IMAGE = {"vmx": "io.bin", "svm": "iopm.bin"}

Listener = Callable[[float], None]
"""Called with how much is done, 0.0 to 1.0."""


class Subject(NamedTuple):
    """Images of a target, and what is expected of them. names: the variants that have them."""

    names: tuple[str, ...]
    target: str
    msr: bytes
    io: bytes
    told: Told
    asked: tuple[Question, ...]


class Result(NamedTuple):
    """One executor on one subject. tools: with versions."""

    executor: str
    subject: tuple[str, ...]
    tools: tuple[str, ...]
    seconds: float
    compared: Compared


def subjects(bundle: Bundle, target: str, profile: str | None = None) -> tuple[Subject, ...]:
    """What a bundle gives to be executed for a target: variants that differ in images or in decisions.

    profile: this one alone; None for all.
    """
    manifest = bundle.manifest
    alike: dict[tuple[object, ...], list[int]] = {}
    for number, variant in enumerate(manifest.variants):
        if target not in variant.images or profile not in (None, variant.profile):
            continue
        told_ = manifest.document["variants"][number]
        key = (*sorted(variant.images[target].items()), *sorted(told_["decisions"].items()), repr(told_["defaults"]))
        alike.setdefault(key, []).append(number)
    return tuple(_subject(bundle, numbers, target) for numbers in alike.values())


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


def variant_name(bundle: Bundle, number: int) -> str:
    """``base policy``, ``profile hardened``, ``profile hardened, vCPUs 0-1``."""
    variant = bundle.manifest.variants[number]
    name = "base policy" if variant.profile is None else f"profile {variant.profile}"
    vcpus, _ = bundle.manifest.vcpu_classes[variant.vcpu_class]
    return name if vcpus == "rest" else f"{name}, vCPUs {vcpus}"


def verify(executor: Executor, subject: Subject, listen: Listener) -> Result:
    """Run one executor. Raises UnreadableError where it cannot be run to its end."""
    start = perf_counter()
    said = executor.ask(subject.msr, subject.io, [each.sweep for each in subject.asked], _share(subject.asked, listen))
    images = {MSR_IMAGE[subject.target]: subject.msr, IO_IMAGE[subject.target]: subject.io}
    compared = compare(subject.told, subject.target, images, subject.asked, said.rows, executor.not_told)
    return Result(executor.name, subject.names, said.tools, perf_counter() - start, compared)


def _share(asked: tuple[Question, ...], listen: Listener) -> Callable[[str], None]:
    """From pieces of output to shares of the work: each sweep's line begins with ``>``."""
    total = accesses(asked)
    done = _running([each.sweep.length for each in asked])

    def heard(piece: str) -> None:
        for _ in range(piece.count(">")):
            listen(next(done, total) / total)

    return heard


def _running(counts: list[int]) -> Iterator[int]:
    """What lies before each of the counts."""
    at = 0
    for count in counts:
        yield at
        at += count
