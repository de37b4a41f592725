"""Waivers: which findings a comment accepts, and what is wrong with the comments themselves (X901..X905)."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from policyc.lint.settings import Settings, matches
from policyc.syntax import tree
from policyc.vocabulary.codes import CODES
from policyc.vocabulary.diagnostic import ERROR, WARNING, Diagnostic, Edit, Fix, error
from policyc.vocabulary.near import nearest
from policyc.vocabulary.span import Span

_SLUGS = {each.slug: code for code, each in CODES.items()}
NEEDS_REASON = ("P", "S", "T")
"""Families whose waivers must say why."""
TODO = "TODO"
"""How a reason begins that is still to be written: it accepts the finding, and X902 stands in its place."""


class Waived(NamedTuple):
    """A finding that a waiver accepts."""

    diagnostic: Diagnostic
    waiver: tree.Waiver


class Judged(NamedTuple):
    """left: findings that stand. waived: those accepted. used: waiver places and codes that accepted something."""

    left: list[Diagnostic]
    waived: list[Waived]
    used: set[tuple[str, int]]


def code_of(word: str) -> str | None:
    """The code that a word in a waiver means: itself, or the one with that slug."""
    return word if word in CODES else _SLUGS.get(word)


def judge(found: Iterable[Diagnostic], waivers: Iterable[tree.Waiver], settings: Settings, today: str) -> Judged:
    """Which findings stand. today: YYYY-MM-DD; a waiver accepts nothing after its last day, nor without its reason."""
    by_source: dict[str, list[tree.Waiver]] = {}
    for each in waivers:
        by_source.setdefault(each.span.source.name, []).append(each)
    covering_in = {name: Covering(several) for name, several in by_source.items()}
    nowhere = Covering(())
    judged = Judged([], [], set())
    for diagnostic in found:
        covering = None
        if diagnostic.primary is not None and diagnostic.code[0] not in "DEX":
            source, start, _ = diagnostic.primary.span
            for waiver in covering_in.get(source.name, nowhere).of(source.position(start)[0]):
                name = _accepting(waiver, diagnostic.code, settings, today)
                if name is not None:
                    covering = waiver
                    judged.used.add((source.name, name.span.start))
        if covering is None:
            judged.left.append(diagnostic)
        else:
            judged.waived.append(Waived(diagnostic, covering))
    return judged


class Covering:
    """The waivers of one file by the lines that they cover: a large policy has many of either."""

    def __init__(self, waivers: Sequence[tree.Waiver]) -> None:
        covers = [(1, sys.maxsize) if each.covers is None else each.covers for each in waivers]
        self._starts = sorted({1, *(line for lo, hi in covers for line in (lo, hi + 1))})
        self._waivers: list[list[tree.Waiver]] = [[] for _ in self._starts]
        for waiver, (lo, hi) in zip(waivers, covers, strict=True):
            for index in range(bisect_left(self._starts, lo), bisect_left(self._starts, hi + 1)):
                self._waivers[index].append(waiver)

    def of(self, line: int) -> Sequence[tree.Waiver]:
        return self._waivers[bisect_right(self._starts, line) - 1]


def _accepting(waiver: tree.Waiver, code: str, settings: Settings, today: str) -> tree.Name | None:
    if waiver.until is not None and waiver.until < today:
        return None
    if not waiver.reason and code[0] in NEEDS_REASON:
        return None
    if any(matches(each, code) for each in settings.forbid_waivers):
        return None
    return next((each for each in waiver.codes if code_of(each.text) == code), None)


def complaints(
    waivers: Iterable[tree.Waiver], settings: Settings, today: str, used: set[tuple[str, int]], ran: Iterable[str]
) -> list[Diagnostic]:
    """X901..X905 about the waivers of the files that were read. ran: codes of the rules that could have found something."""
    could = set(ran)
    out: list[Diagnostic] = []
    for waiver in waivers:
        about = _about(waiver, settings, today)
        out += about
        if any(each.severity == ERROR or each.code == "X903" for each in about):
            continue
        for name in waiver.codes:
            code = code_of(name.text)
            if code in could and (waiver.span.source.name, name.span.start) not in used:
                out.append(_unused(waiver, name))
    return [each._replace(severity=settings.level(each.code, each.severity)) for each in out]


def _about(waiver: tree.Waiver, settings: Settings, today: str) -> list[Diagnostic]:
    out = []
    for name in waiver.codes:
        code = code_of(name.text)
        if code is None:
            close = nearest(name.text, [*CODES, *_SLUGS], 1)
            remedy = f"did you mean `{close[0]}`?" if close else "`policyc rule` lists the codes"
            out.append(error("X904", f"no finding has the code or name `{name.text}`", name.span, helps=(remedy,)))
        elif any(matches(each, code) for each in settings.forbid_waivers):
            said = f"{code} may not be waived here"
            helps = ("mend the policy; the settings' forbid-waivers say which codes are meant",)
            out.append(error("X905", said, name.span, helps=helps))
        elif not waiver.reason and code[0] in NEEDS_REASON:
            helps = (f'say why: ignore[{code}] reason="..."',)
            out.append(error("X902", f"the waiver of {code} gives no reason", waiver.span, helps=helps))
        elif waiver.reason is not None and waiver.reason.startswith(TODO) and code[0] in NEEDS_REASON:
            helps = ("say why the finding is accepted, or mend it",)
            out.append(error("X902", f"the reason to accept {code} is still to be written", waiver.span, helps=helps))
    if waiver.until is not None and waiver.until < today:
        severity = ERROR if settings.strict_waivers else WARNING
        said = f"this waiver ended on {waiver.until}"
        helps = ("mend what it waived, or renew the date after looking again",)
        out.append(error("X903", said, waiver.span, helps=helps, severity=severity))
    return out


def _unused(waiver: tree.Waiver, name: tree.Name) -> Diagnostic:
    whole = len(waiver.codes) == 1
    span = _whole_line(waiver.span) if whole else _with_comma(waiver, name)
    fix = Fix("remove it", (Edit(span, ""),), safe=True)
    said = f"nothing here is found by {name.text}, so its waiver is not needed"
    return error("X901", said, name.span, helps=("remove it",), fixes=(fix,), severity=WARNING)


def _whole_line(span: Span) -> Span:
    """The comment, with its line where it stands alone, else with the spaces before it."""
    text, start, end = span.source.text, span.start, span.end
    while start > 0 and text[start - 1] in " \t":
        start -= 1
    if start == 0 or text[start - 1] in "\r\n":
        for ending in ("\r\n", "\n", "\r"):
            if text.startswith(ending, end):
                return Span(span.source, start, end + len(ending))
    return Span(span.source, start, end)


def _with_comma(waiver: tree.Waiver, name: tree.Name) -> Span:
    """One code of several, with the comma and the spaces that part it from its neighbour."""
    at = waiver.codes.index(name)
    if at:
        return Span(name.span.source, waiver.codes[at - 1].span.end, name.span.end)
    return Span(name.span.source, name.span.start, waiver.codes[1].span.start)
