"""``policyc report BUNDLE -o FILE.html``: one page for people who would rather look."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from policyc.database.names import Database
    from policyc.lint.settings import Settings
    from policyc.reports.drawing import Findings, Subject

SUMMARY = "draw every port and MSR of a policy or bundle, or what a change opens, as one HTML page"

EPILOG = """\
# every port and MSR, the rules that decide them, and what lint finds
policyc report vm.pol -o vm.html
# the same of a bundle, from its own images
policyc report vm.bundle -o vm.html
# before and after a change
policyc report old.pol new.pol -o change.html
policyc report --against git:HEAD vm.pol -o change.html
"""


_OF_THE_TEXT = ("R", "Y", "X", "S423", "S428")
"""Lint rules that read a policy's words, which a bundle does not have."""


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "subjects", metavar="POLICY|BUNDLE", nargs="+", help="one to draw, or OLD and NEW; also git:REV:PATH"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="the page; else the last one's stem + .html, here; - prints it"
    )
    parser.add_argument("--against", metavar="git:REV:PATH", help="what OLD is, instead of the first word")
    parser.add_argument(
        "--target", type=policies.target_names, metavar="NAMES", help="vmx, svm, kvm, or several with commas"
    )
    parser.add_argument("--profile", metavar="NAME", help="this profile alone; else the base policy and every profile")
    parser.add_argument("--no-findings", action="store_true", help="leave out what lint says")
    policies.add_database(parser)


def run(args: Arguments) -> int:
    from policyc.cli import output
    from policyc.cli.console import Progress
    from policyc.reports.drawing import drawing
    from policyc.reports.page import page
    from policyc.syntax.files import watch

    watch()
    words = _words(args)
    place = f"{_stem(words[-1])}.html" if args.output is None else args.output
    with Progress(f"drawing {words[-1]}"):
        names = policies.database(args)
        chosen = [*[None] * (len(words) - 1), args.profile]
        subjects = [_subject(args, word, names, profile) for word, profile in zip(words, chosen, strict=True)]
        _comparable(words, subjects)
        findings = None if args.no_findings else _findings(words[-1], subjects[-1], names)
        text = page([_called(word) for word in words], drawing(subjects, names, findings))
    output.write(place, text)
    return 0


def _words(args: Arguments) -> list[str]:
    """What to draw: one word, or the old and the new one."""
    from policyc.cli.subjects import two

    words = list(args.subjects)
    if "-" in words:
        raise UsageError("a report quotes files by their names", "save the policy first")
    if len(words) > 2:
        raise UsageError("one is drawn, or two are compared", f"{len(words)} are named")
    return words if len(words) == 1 and args.against is None else two(words, args.against)


def _called(word: str) -> str:
    """A subject's name without its folders; that of another revision begins with the revision."""
    from policyc.cli.subjects import GIT

    if word.startswith(GIT):
        revision, _, path = word.removeprefix(GIT).partition(":")
        return f"{revision}:{os.path.basename(path)}"
    return os.path.basename(os.path.abspath(word)) or word


def _stem(word: str) -> str:
    """What a subject's page is called, without its ending."""
    from policyc.cli.subjects import GIT

    path = word.split(":", 2)[-1] if word.startswith(GIT) else os.path.abspath(word)
    return os.path.splitext(os.path.basename(path))[0]


# what is drawn


def _subject(args: Arguments, word: str, names: Database, profile: str | None) -> Subject:
    """profile: the one to show; None for all, and of what another is compared with."""
    if os.path.isdir(word):
        return _bundle(args, word, profile)
    return _policy(args, word, names, profile)


def _bundle(args: Arguments, word: str, profile: str | None) -> Subject:
    """A bundle, verified as it is read; its own images are what is drawn."""
    from policyc.bundle.read import load
    from policyc.bundle.rebuilt import rebuilt
    from policyc.reports.drawing import Subject
    from policyc.semantics.policy import Variant
    from policyc.vocabulary.diagnostic import UnreadableError

    bundle = load(word)
    manifest = bundle.manifest
    unknown = [each for each in manifest.targets if each not in policies.TARGETS]
    if unknown:
        raise UnreadableError(f"{word}: no target is named {', '.join(unknown)}")
    if args.target is not None and not set(args.target) <= set(manifest.targets):
        raise UsageError(f"{word} has no images for {', '.join(args.target)}", f"it has {', '.join(manifest.targets)}")
    images = {}
    for each in manifest.variants:
        held = {
            name: {image: bundle.file(path) for image, path in each.images[name].items()}
            for name in args.target or manifest.targets
        }
        for meant in {each.profile, None if each.profile == manifest.profile else each.profile}:
            images[Variant(meant, each.vcpu_class)] = held
    side = rebuilt(bundle)
    facts = (
        f"bundle of policy {manifest.policy}, made by policyc {manifest.policyc}",
        f"{len(manifest.files)} files, all as the manifest says",
    )
    profiles = dict.fromkeys(each.profile for each in manifest.variants)
    return Subject(word, facts, side, args.target or manifest.targets, _chosen(profile, word, profiles), images)


def _policy(args: Arguments, word: str, names: Database, profile: str | None) -> Subject:
    """A policy that compiles, with the images that it compiles to."""
    from policyc.cli import subjects
    from policyc.reports.drawing import Subject
    from policyc.targets.registry import target
    from policyc.targets.selection import select
    from policyc.targets.traps import traps_of
    from policyc.vocabulary.diagnostic import ERROR, PolicyError

    given = subjects.load(word, names)
    if given.side is None:
        raise UsageError(f"{word} is a raw image", "`policyc decompile` makes a policy of it, which can be drawn")
    side = given.side
    selection = select(side.policy, tuple(side.maps.values()), args.target)
    problems = [each for each in selection.diagnostics if each.severity == ERROR]
    if problems:
        raise PolicyError(problems)
    profiles = dict.fromkeys([None, *(each.name for each in side.policy.profiles)])
    images = {
        variant: {
            name: {each.name: each.data for each in target(name).images(traps_of(side.policy, decisions))}
            for name in selection.targets
        }
        for variant, decisions in side.maps.items()
    }
    files = len(side.policy.modules)
    facts = (f"{len(side.policy.rules):,} rules in {files:,} file{'s' if files > 1 else ''}",)
    return Subject(word, facts, side, selection.targets, _chosen(profile, word, profiles), images)


def _chosen(profile: str | None, word: str, profiles: Iterable[str | None]) -> tuple[str | None, ...]:
    """The profiles to show: the one of the command line, which must be there, or all."""
    known = tuple(profiles)
    if profile is None:
        return known
    if profile not in known:
        listed = ", ".join(each for each in known if each is not None)
        raise UsageError(f"{word} has no profile `{profile}`", f"it has {listed or 'no profiles'}")
    return (profile,)


def _comparable(words: Sequence[str], subjects: Sequence[Subject]) -> None:
    if len(subjects) == 2 and not set(subjects[0].targets) & set(subjects[1].targets):
        old, new = (", ".join(each.targets) for each in subjects)
        raise UsageError(f"{words[0]} is for {old}, {words[1]} for {new}", "name one that both can serve: --target vmx")


# findings


def _findings(word: str, subject: Subject, names: Database) -> Findings | None:
    """What lint says of a policy, under the settings that `policyc lint` would read; None for another revision's."""
    from policyc.cli import subjects
    from policyc.cli.lint import today
    from policyc.cli.lintconfig import Configs
    from policyc.reports.drawing import Findings
    from policyc.review import review, verdict

    settings = Configs(None, False).above(word).of(word)
    if os.path.isdir(word):
        return _of_bundle(subject, settings, names)
    if word.startswith(subjects.GIT):
        return None
    judged = verdict([review(word, settings, database=names)], today())
    waived = len(judged.waived)
    note = f"{waived} more {'is' if waived == 1 else 'are'} waived by comments in the policy." if waived else ""
    return Findings(tuple(judged.left), note)


def _of_bundle(drawn: Subject, settings: Settings, names: Database) -> Findings:
    """What the rules find that look at decisions: the text with its waivers is not in a bundle."""
    from policyc.lint.run import findings
    from policyc.lint.subject import Subject
    from policyc.reports.drawing import Findings
    from policyc.semantics.resolve import Written

    side = drawn.side
    settings = settings._replace(ignore=(*settings.ignore, *_OF_THE_TEXT))
    subject = Subject(
        side.policy, side.maps, drawn.targets, names, Written((), {}),
        threat=settings.threat, platform=settings.platform,
    )  # fmt: skip
    note = "A bundle has no text: findings about wording, and waivers, are seen where the policy itself is drawn."
    return Findings(tuple(findings(subject, settings)), note)
