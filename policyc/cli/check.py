"""``policyc check POLICY...``: everything `compile` checks; nothing is written."""

from __future__ import annotations

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser
from policyc.vocabulary.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policyc.cli.many import Done
    from policyc.proof.exhaustive import Progress as Step
    from policyc.vocabulary.diagnostic import Diagnostic

SUMMARY = "check policies: everything that compile does, and nothing written"

EPILOG = """\
# one policy, or every policy below a folder
policyc check vm.pol
policyc check policies/
# must it hold on AMD too?
policyc check vm.pol --target vmx,svm
# from an editor's buffer, one line a finding
policyc check - --format concise < vm.pol
# in a workflow on GitHub; warnings fail as well
policyc check vm.pol --format github --fail-on warning
# for a code-scanning service
policyc check vm.pol --format sarif > findings.sarif
"""

_LEVELS = ("error", "warning", "info")


class Outcome(NamedTuple):
    """What came of one policy. targets: that it compiles to; None where it does not. imports: names of the files that
    it imports."""

    path: str
    diagnostics: tuple[Diagnostic, ...] = ()
    targets: tuple[str, ...] | None = None
    rules: int = 0
    accesses: int = 0
    imports: tuple[str, ...] = ()


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "policies", metavar="POLICY", nargs="+", help="policies, or folders of *.pol; - reads standard input"
    )
    policies.add_compile_options(parser)
    parser.add_argument("--fail-on", choices=_LEVELS, default="error", help="exit with 1 from this severity on")
    policies.add_jobs(parser)
    policies.add_format(parser, "concise", "github", "sarif")


def run(args: Arguments) -> int:
    """Every policy is checked, whatever the ones before it did; the worst of their exit codes counts."""
    done = _checked(args)
    done.complain()
    _print(args, done.answers, done.unreadable)
    failing = _LEVELS[: _LEVELS.index(args.fail_on) + 1]
    return done.status(int(any(told.severity in failing for each in done.answers for told in each.diagnostics)))


def _checked(args: Arguments) -> Done:
    """In the order of the command line. Files below a folder that others import are parts of these, not policies."""
    from policyc.cli.many import find, share

    def ready() -> None:
        from policyc import pipeline  # noqa: F401

        policies.database(args)

    found = find(args.policies)
    done = share("checking", found.paths, lambda path, step: _outcome(args, path, step), args.jobs, ready)
    parts = {name for each in done.answers for name in each.imports} & found.walked
    return done._replace(answers=[each for each in done.answers if each.path not in parts])


def _outcome(args: Arguments, path: str, step: Step | None) -> Outcome:
    from policyc.vocabulary.diagnostic import PolicyError

    try:
        checked = policies.checked(args, path, step)
    except PolicyError as reason:
        return Outcome(path, reason.diagnostics)
    imports = tuple(each.name for each in checked.policy.modules[1:])
    rules, accesses = len(checked.policy.rules), checked.proof.accesses
    return Outcome(path, checked.diagnostics, checked.targets, rules, accesses, imports)


def _print(args: Arguments, outcomes: Sequence[Outcome], unreadable: Sequence[str]) -> None:
    found = [told for each in outcomes for told in each.diagnostics]
    good = [each for each in outcomes if each.targets is not None]
    if args.format == "json":
        from policyc.reports import jsonform

        clean = [{"file": each.path, "targets": list(each.targets or ())} for each in good]
        fields = {"diagnostics": jsonform.diagnostics(found), "compiles": clean, "unreadable": list(unreadable)}
        print(jsonform.document(fields), end="")
    elif args.format in ("concise", "github"):
        from policyc.reports import concise, github

        line = concise.line if args.format == "concise" else github.line
        for diagnostic in found:
            print(line(diagnostic))
    elif args.format == "sarif":
        from policyc.reports import sarif

        print(sarif.document(found), end="")
    else:
        from policyc.cli import console

        console.tell(found, args)
        for each in good:
            print(_verdict(each))


def _verdict(outcome: Outcome) -> str:
    from policyc.reports.cells import safe

    rules = "1 rule" if outcome.rules == 1 else f"{outcome.rules} rules"
    proven = f"{outcome.accesses:,} accesses proven"
    return f"{safe(outcome.path)}: compiles to {', '.join(outcome.targets or ())} ({rules}, {proven})"
