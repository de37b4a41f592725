"""An executor's answers beside the evaluator's: what differs, said once for each bit that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from policyc.proof.evaluate import Bit
from policyc.verify.plan import Question
from policyc.verify.probes import Answer, Run, Sweep, exits, told_of_exit
from policyc.verify.told import Told, access

EXAMINED = 2000
"""Accesses that differ of which the bit is looked for; the rest is counted."""


class Difference(NamedTuple):
    """One thing that is wrong. form: the instruction, as in ``rep outs``. rule: what decides the access.

    image, byte, bit: the bit that is not as the policy says; image is empty where the bits are right and the executor
    itself does something else. accesses: how many differ for this reason, the one named first among them.
    """

    form: str
    address: int
    width: int
    expected: str
    found: str
    rule: str
    image: str
    byte: int
    bit: int
    accesses: int


class Compared(NamedTuple):
    """accesses: compared. differing: how many of them differ. differences: why, in the order in which they came up."""

    accesses: int
    differing: int
    differences: tuple[Difference, ...]


def compare(
    told: Told,
    target: str,
    images: Mapping[str, bytes],
    asked: Sequence[Question],
    rows: Sequence[tuple[Run, ...]],
    not_told: int,
) -> Compared:
    """Compare the answers with the questions. not_told: bits of info1 that the executor never sets."""
    found: dict[object, Difference] = {}
    total = differing = 0
    for question, runs in zip(asked, rows, strict=True):
        total += question.sweep.length
        for at, wrong in _wrong(question, runs, target, not_told):
            differing += 1
            if differing > EXAMINED:
                continue
            each = _explained(told, target, images, question, at, wrong)
            key = (each.image, each.byte, each.bit) if each.image else each[:5]
            before = found.get(key)
            found[key] = each if before is None else before._replace(accesses=before.accesses + 1)
    return Compared(total, differing, tuple(found.values()))


def _wrong(question: Question, runs: Sequence[Run], target: str, not_told: int) -> Iterator[tuple[int, Answer]]:
    """Addresses whose answer is not the expected one, counted from the sweep's first, with the answer."""
    if question.expected == exits(runs) and _told_alike(question.sweep, runs, target, not_told):
        return
    at = 0
    for run in runs:
        for offset in range(run.length):
            should_exit = question.expected[at + offset] == ord("1")
            if not _right(question.sweep, run.answer, should_exit, at + offset, target, not_told):
                yield at + offset, run.answer
        at += run.length


def _told_alike(sweep: Sweep, runs: Iterable[Run], target: str, not_told: int) -> bool:
    return all(
        _right(sweep, each, each.letter == "x", 0, target, not_told)
        for each in {run.answer for run in runs}
        if each.letter != "."
    )


def _right(sweep: Sweep, answer: Answer, should_exit: bool, at: int, target: str, not_told: int) -> bool:
    if not should_exit:
        return answer.letter in ".g"
    expected = told_of_exit(target, sweep, sweep.first + at)
    masked = answer._replace(info1=answer.info1 & ~not_told)
    return masked == expected._replace(info1=expected.info1 & ~not_told)


def _explained(
    told: Told, target: str, images: Mapping[str, bytes], question: Question, at: int, answer: Answer
) -> Difference:
    sweep, address = question.sweep, question.sweep.first + at
    verdict = told.verdict(access(question.column, address), target)
    should_exit = question.expected[at] == ord("1")
    expected = "an exit" if should_exit else "no exit"
    found = _words(answer)
    if should_exit and answer.letter == "x":
        expected = _words(told_of_exit(target, sweep, address))
    elif answer.letter == "x":
        found = "an exit"
    bit = _culprit(verdict.bits, images) if should_exit != (answer.letter == "x") else None
    return Difference(
        ("rep " if sweep.repeat else "") + sweep.kind,
        address,
        sweep.width,
        expected,
        found,
        told.rule(verdict),
        bit.image if bit else "",
        bit.byte if bit else 0,
        bit.bit if bit else 0,
        1,
    )


def _words(answer: Answer) -> str:
    if answer.letter == "x":
        return f"an exit that says {answer.reason:#x}, {answer.info1:#x}, {answer.info2:#x}"
    if answer.letter == "?":
        return f"another exit: {answer.reason:#x}, {answer.info1:#x}, {answer.info2:#x}"
    return "no exit, but #GP" if answer.letter == "g" else "no exit"


def _culprit(bits: Iterable[Bit], images: Mapping[str, bytes]) -> Bit | None:
    """The first of the bits that is not in its image as it must be."""
    for each in bits:
        if images[each.image][each.byte] >> each.bit & 1 != each.value:
            return each
    return None
