"""From a policy's path to what lint says of it: read, judge, run the rules, apply the waivers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from policyc import pipeline
from policyc.database.names import Database
from policyc.lint.run import findings
from policyc.lint.settings import Settings
from policyc.lint.subject import STD, Subject
from policyc.lint.waivers import Waived, complaints, judge
from policyc.syntax import tree
from policyc.vocabulary.diagnostic import Diagnostic, PolicyError
from policyc.vocabulary.span import Source


class File(NamedTuple):
    """One of a policy's own files, without its tree: another process may hand it over. key: as of Loaded."""

    key: str
    source: Source
    waivers: tuple[tree.Waiver, ...]

    @property
    def name(self) -> str:
        return self.source.name


class Reviewed(NamedTuple):
    """What the rules found in one policy, before waivers. path: as given. files: the policy's own, the main one first;
    none for a policy that does not compile, of which ``found`` then holds the errors."""

    path: str
    settings: Settings
    found: list[Diagnostic]
    files: tuple[File, ...]

    @property
    def compiles(self) -> bool:
        return bool(self.files)


class Verdict(NamedTuple):
    """left: what stands, in source order. waived: what comments accept. compile: whether every policy compiles."""

    left: list[Diagnostic]
    waived: list[Waived]
    compile: bool


def review(
    path: str, settings: Settings, *, database: Database, buffers: Mapping[str, bytes] | None = None
) -> Reviewed:
    """The findings about one policy and the files that it imports. Raises UnreadableError."""
    try:
        read = pipeline.front(path, database=database, buffers=buffers)
        judged = pipeline.judge(read, database)
    except PolicyError as reason:
        return Reviewed(path, settings, list(reason.diagnostics), ())
    subject = Subject(
        read.policy, judged.maps, judged.selection.targets, database, read.written,
        threat=settings.threat, platform=settings.platform,
    )  # fmt: skip
    files = tuple(File(each.key, each.module.source, each.module.waivers) for each in subject.files)
    return Reviewed(path, settings, findings(subject, settings, judged.diagnostics), files)


def verdict(reviews: Sequence[Reviewed], today: str, *, waive: bool = True) -> Verdict:
    """What stands of the findings of several policies. A file that several import is spoken of once.

    today: YYYY-MM-DD, for waivers that end. waive: False shows everything, and says nothing of the waivers themselves.
    """
    left: list[Diagnostic] = []
    waived: list[Waived] = []
    used: set[tuple[str, int]] = set()
    for each in reviews:
        judged = judge(each.found, _waivers(each) if waive else (), each.settings, today)
        left += judged.left
        waived += judged.waived
        used |= judged.used
    for each in reviews if waive else ():
        could = _could_run(each.settings)
        for file in each.files:
            # Whether a module's waiver is needed, only all of those who import it could tell.
            left += complaints(file.waivers, each.settings, today, used, () if file.key else could)
    return Verdict(_once(left), waived, all(each.compiles for each in reviews))


def _waivers(reviewed: Reviewed) -> list[tree.Waiver]:
    return [waiver for file in reviewed.files for waiver in file.waivers]


def _could_run(settings: Settings) -> list[str]:
    """Codes that these settings look for: a waiver of another one may be of use under other settings."""
    from policyc.lint.registry import codes, load

    out = []
    for code in codes():
        if settings.runs(code, True, frozenset({settings.threat})):
            rule = load(code).rule
            if settings.runs(code, rule.on, rule.threats):
                out.append(code)
    return out


def _once(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    seen: dict[tuple[object, ...], Diagnostic] = {}
    for each in found:
        span = None if each.primary is None else each.primary.span
        place = () if span is None else (span.source.name, span.start, span.end)
        seen.setdefault((each.code, each.message, *place), each)
    return sorted(seen.values(), key=Diagnostic.sort_key)


def imported(reviews: Iterable[Reviewed]) -> set[str]:
    """Names of the files that one of the policies imports: as parts of others, they are not policies themselves."""
    return {file.name for each in reviews for file in each.files[1:] if not file.key.startswith(STD)}
