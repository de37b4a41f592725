"""An executor's answers beside the evaluator's: what differs, said once for each bit that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from policyc.proof.evaluate import Verdict
from policyc.verify.plan import Question
from policyc.verify.probes import Answer, Run, Sweep, exits, told_of_exit
from policyc.verify.told import Told, access
from policyc.vocabulary.access import Access

EXAMINED = 2000
"""Accesses that differ of which the bit is looked for; the rest is counted."""


class Spot(NamedTuple):
    """A bit that is not as the policy says. must: its right value. range: whose bitmap in kvm_filter.json, from 0; None
    in other images."""

    image: str
    byte: int
    bit: int
    must: int
    range: int | None = None


Find = Callable[[Access, Verdict], Spot | None]
"""The bit that is to blame for an access that exits, or does not, against its verdict; None where none is."""


class Difference(NamedTuple):
    """One thing that is wrong. form: the instruction, as in ``rep outs``. rule: what decides the access.

    spot: the bit to blame; None where the bits are right and the executor itself does something else. accesses: how
    many differ for this reason, the one named first among them.
    """

    form: str
    address: int
    width: int
    expected: str
    found: str
    rule: str
    spot: Spot | None
    accesses: int


class Compared(NamedTuple):
    """accesses: compared. differing: how many of them differ. differences: why, in the order in which they came up."""

    accesses: int
    differing: int
    differences: tuple[Difference, ...]


def compare(
    told: Told,
    target: str,
    find: Find,
    asked: Sequence[Question],
    rows: Sequence[tuple[Run, ...]],
    not_told: int,
) -> Compared:
    """Compare the answers with the questions. find: the bit to blame. not_told: bits of info1 that the executor never
    sets."""
    found: dict[object, Difference] = {}
    total = differing = 0
    for question, runs in zip(asked, rows, strict=True):
        total += question.sweep.length
        for at, wrong in _wrong(question, runs, target, not_told):
            differing += 1
            if differing > EXAMINED:
                continue
            each = _explained(told, target, find, question, at, wrong)
            key = each.spot or each[:5]
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


def _explained(told: Told, target: str, find: Find, question: Question, at: int, answer: Answer) -> Difference:
    sweep, address = question.sweep, question.sweep.first + at
    made = access(question.column, address)
    verdict = told.verdict(made, target)
    should_exit = question.expected[at] == ord("1")
    expected = "an exit" if should_exit else "no exit"
    found = _words(answer)
    if should_exit and answer.letter == "x":
        expected = _words(told_of_exit(target, sweep, address))
    elif answer.letter == "x":
        found = "an exit"
    blamed = find(made, verdict) if should_exit != (answer.letter == "x") else None
    form = ("rep " if sweep.repeat else "") + sweep.kind
    return Difference(form, address, sweep.width, expected, found, told.rule(verdict), blamed, 1)


def _words(answer: Answer) -> str:
    if answer.letter == "x":
        return f"an exit that says {answer.reason:#x}, {answer.info1:#x}, {answer.info2:#x}"
    if answer.letter == "?":
        return f"another exit: {answer.reason:#x}, {answer.info1:#x}, {answer.info2:#x}"
    return "no exit, but #GP" if answer.letter == "g" else "no exit"


def in_images(images: Mapping[str, bytes]) -> Find:
    """For images whose every bit has its place by the manuals: the first of an access' bits that is wrong."""

    def find(_: Access, verdict: Verdict) -> Spot | None:
        for each in verdict.bits:
            if images[each.image][each.byte] >> each.bit & 1 != each.value:
                return Spot(each.image, each.byte, each.bit, each.value)
        return None

    return find
