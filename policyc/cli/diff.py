"""``policyc diff OLD NEW``: what a change opens, closes and otherwise changes, by meaning."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser, UsageError

if TYPE_CHECKING:
    from policyc.analyses.diff import Comparison
    from policyc.analyses.risk import Risk
    from policyc.database.names import Database
    from policyc.reports.differences import Subject

SUMMARY = "compare two policies by what they mean: what opens, what closes, what changes"

EPILOG = """\
# what does the change open?
policyc diff old.pol new.pol
# and is it dangerous?
policyc diff old.pol new.pol --risk
# under one profile alone
policyc diff old.pol new.pol --profile hardened
# as a comment for a review
policyc diff old.pol new.pol --format markdown
# in a script: 1 only if something opens
policyc diff old.pol new.pol --fail-on opens
"""


def arguments(parser: Parser) -> None:
    parser.add_argument("old", metavar="OLD", help="the policy before; - reads standard input")
    parser.add_argument("new", metavar="NEW", help="the policy after")
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

    if args.old == args.new == "-":
        raise UsageError("standard input can be read once", "name one of the two as a file")
    names = policies.database(args)
    old, new = (Subject(word, subjects.policy_side(word, names)) for word in (args.old, args.new))
    profiles = None
    if args.profile is not None:
        policies.variant(new.side.policy, args.profile, None)
        profiles = (args.profile,)
    comparison = diff.compare(old.side, new.side, profiles)
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
