"""``policyc diff OLD NEW``: what a change opens, closes and otherwise changes, by meaning."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from policyc.cli import frame, policies
from policyc.cli.parser import Arguments, Parser, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policyc.analyses.diff import Comparison
    from policyc.analyses.guards import Dropped
    from policyc.analyses.risk import Risk
    from policyc.cli import subjects
    from policyc.database.names import Database
    from policyc.reports.differences import Subject

SUMMARY = "compare two policies, bundles or images: what opens, what closes, what changes"

EPILOG = """\
# what does the change open?
policyc diff old.pol new.pol
# and is it dangerous?
policyc diff old.pol new.pol --risk
# under one profile alone
policyc diff old.pol new.pol --profile hardened
# as a comment for a review
policyc diff old.pol new.pol --format markdown
# with what was committed
policyc diff --against git:HEAD vm.pol
# every policy that the branch has changed, for a review
policyc diff --since git:HEAD . --format markdown --fail-on never
# what a bundle or somebody's image lets through
policyc diff vm.bundle new.pol
policyc diff msr.bin new.pol
# in a script: 1 only if something opens
policyc diff old.pol new.pol --fail-on opens
"""

AS = ("msr", "io", "msrpm", "iopm", "kvm")


def arguments(parser: Parser) -> None:
    parser.add_argument("subjects", metavar="OLD NEW", nargs="+", help="policies, bundles, raw images, git:REV:PATH")
    parser.add_argument("--against", metavar="git:REV:PATH", help="what OLD is, instead of the first word")
    parser.add_argument(
        "--since", metavar="git:REV", help="compare each policy below the paths with what it was at REV"
    )
    parser.add_argument("--as", dest="kind", choices=AS, help="what a raw image is, where its size does not say")
    parser.add_argument("--profile", metavar="NAME", help="compare this profile alone; else the base and every profile")
    parser.add_argument("--risk", action="store_true", help="also say what the database knows of all that opens")
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 where they differ, as is the default")
    parser.add_argument(
        "--fail-on", choices=("any", "opens", "never"), default="any", help="which differences exit with 1"
    )
    policies.add_database(parser)
    policies.add_format(parser, "markdown")


def run(args: Arguments) -> int:
    from policyc.cli import subjects

    if args.since is not None:
        return _since(args)
    words = subjects.two(args.subjects, args.against)
    names = policies.database(args)
    change = _compare(args, [subjects.load(word, names, args.kind) for word in words])
    _print(args, change, names)
    return _status(args, [change])


class Change(NamedTuple):
    """Two sides and what is different. dropped: guards of the old one that the new one lacks. was: the old one's path,
    where the file was renamed."""

    old: Subject
    new: Subject
    comparison: Comparison
    dropped: tuple[Dropped, ...] = ()
    was: str | None = None

    @property
    def same(self) -> bool:
        return self.comparison.same and not self.dropped


def _compare(args: Arguments, given: Sequence[subjects.Subject]) -> Change:
    from policyc.analyses import diff, guards
    from policyc.cli import subjects
    from policyc.reports.differences import Subject

    profile = args.profile or next((each.only for each in given if each.only), None)
    before, after = subjects.sides(given[0], given[1], profile)
    profiles = None
    if profile is not None and all(each.side is not None for each in given):
        policies.variant(after.policy, profile, None)
        profiles = (profile,)
    comparison = diff.compare(before, after, profiles)
    written = all(each.side is not None and each.bundle is None for each in given)
    dropped = guards.dropped(before.policy, after.policy) if written else ()
    return Change(Subject(given[0].said, before), Subject(given[1].said, after), comparison, dropped)


def _status(args: Arguments, changes: Sequence[Change]) -> int:
    from policyc.analyses import diff

    if args.fail_on == "opens":
        return int(any(each.comparison.of(diff.OPENS) for each in changes))
    return int(not all(each.same for each in changes) and (args.fail_on == "any" or args.exit_code))


def _since(args: Arguments) -> int:
    """Every policy that changed since a revision; those that mean the same are not told of."""
    from policyc.cli import console, since
    from policyc.vocabulary.diagnostic import PolicyError

    if args.against is not None or args.kind is not None:
        raise UsageError("`--since` compares policies with what they were", "leave --against and --as out")
    names = policies.database(args)
    found = since.collect(args.since, args.subjects, names)
    changes = [
        _compare(args, [each.old, each.new])._replace(was=each.was)
        for each in found.changed
        if each.old is not None and each.new is not None
    ]
    refused = [each for each in found.changed if each.refused is not None]
    _print_since(args, changes, found.gone, [each.path for each in refused], names)
    for each in refused:
        if isinstance(each.refused, PolicyError):
            console.tell(each.refused.diagnostics, args)
        else:
            frame.complain(str(each.refused))
    return 2 if refused else _status(args, changes)


def _print_since(
    args: Arguments, changes: Sequence[Change], gone: Sequence[str], refused: Sequence[str], names: Database
) -> None:
    if args.format == "json":
        from policyc.reports.jsonform import document

        rows = [{**_fields(args, each, names), "renamed_from": each.was} for each in changes]
        sys.stdout.write(document({"changes": rows, "gone": list(gone), "refused": list(refused)}))
        return
    from policyc.reports.cells import safe

    mark = "**policyc diff** " if args.format == "markdown" else ""
    told = [each for each in changes if not each.same]
    renamed = [each for each in changes if each.was is not None and (mark or each.same)]
    for change in told:
        if not mark:
            print(f"{safe(change.new.said)}{'' if change.was is None else f', renamed from {safe(change.was)}'}:")
        _print(args, change, names)
        print()
    for each in renamed:
        print(f"{mark}{safe(each.new.said)}: renamed from {safe(each.was or '')}")
    for words, paths in (("gone", gone), ("cannot be compared", refused)):
        for path in paths:
            print(f"{mark}{safe(path)}: {words}")
    if not (told or renamed or gone or refused):
        print(f"{mark}no difference")


def _print(args: Arguments, change: Change, names: Database) -> None:
    from policyc.reports import differences, guards

    old, new, comparison, dropped, _ = change
    if args.format == "json":
        from policyc.reports.jsonform import document

        sys.stdout.write(document(_fields(args, change, names)))
    elif args.format == "markdown":
        sys.stdout.write(differences.markdown(old, new, comparison, names, _risk(args, comparison, names)))
        sys.stdout.write(guards.markdown(dropped))
    else:
        from policyc.cli import console

        paint = console.output_paint(args)
        if comparison.same and dropped:
            print("no access is decided differently")
        else:
            sys.stdout.write(differences.text(old, new, comparison, names, paint))
        sys.stdout.write(guards.text(dropped, paint))
        risk = _risk(args, comparison, names)
        if risk is not None:
            print(paint("strong", differences.risk_line(risk, names)))


def _fields(args: Arguments, change: Change, names: Database) -> dict[str, Any]:
    from policyc.reports import differences, guards

    old, new, comparison, dropped, _ = change
    told = differences.fields(old, new, comparison, names, _risk(args, comparison, names))
    return {**told, "dropped": guards.fields(dropped)}


def _risk(args: Arguments, comparison: Comparison, names: Database) -> tuple[Risk, ...] | None:
    if not args.risk:
        return None
    from policyc.analyses.risk import risks

    return risks(comparison, names)
