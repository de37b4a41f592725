"""``policyc diff OLD NEW``: what a change opens, closes and otherwise changes, by meaning."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser

if TYPE_CHECKING:
    from policyc.analyses.diff import Comparison
    from policyc.analyses.risk import Risk
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
    from policyc.analyses import diff
    from policyc.cli import subjects
    from policyc.reports.differences import Subject

    words = subjects.two(args.subjects, args.against)
    names = policies.database(args)
    given = [subjects.load(word, names, args.kind) for word in words]
    profile = args.profile or next((each.only for each in given if each.only), None)
    before, after = subjects.sides(given[0], given[1], profile)
    old, new = Subject(words[0], before), Subject(words[1], after)
    profiles = None
    if profile is not None and all(each.side is not None for each in given):
        policies.variant(after.policy, profile, None)
        profiles = (profile,)
    comparison = diff.compare(before, after, profiles)
    _print(args, old, new, comparison, names)
    if args.fail_on == "opens":
        return int(bool(comparison.of(diff.OPENS)))
    return int(not comparison.same and (args.fail_on == "any" or args.exit_code))


def _print(args: Arguments, old: Subject, new: Subject, comparison: Comparison, names: Database) -> None:
    from policyc.reports import differences

    risk: tuple[Risk, ...] | None = None
    if args.risk:
        from policyc.analyses.risk import risks

        risk = risks(comparison, names)
    if args.format == "json":
        from policyc.reports.jsonform import document

        sys.stdout.write(document(differences.fields(old, new, comparison, names, risk)))
    elif args.format == "markdown":
        sys.stdout.write(differences.markdown(old, new, comparison, names, risk))
    else:
        from policyc.cli import console

        paint = console.output_paint(args)
        sys.stdout.write(differences.text(old, new, comparison, names, paint))
        if risk is not None:
            print(paint("strong", differences.risk_line(risk, names)))
