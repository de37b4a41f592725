"""``policyc check POLICY...``: everything `compile` checks; nothing is written."""

from __future__ import annotations

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser
from policyc.vocabulary.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

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
_MOST_JOBS = 256


class Outcome(NamedTuple):
    """What came of one policy. targets: that it compiles to; None where it does not. unreadable: why it could not be
    read. died: how the process that checked it ended, if it did. imports: names of the files that it imports."""

    path: str
    diagnostics: tuple[Diagnostic, ...] = ()
    targets: tuple[str, ...] | None = None
    rules: int = 0
    accesses: int = 0
    unreadable: str = ""
    died: str = ""
    imports: tuple[str, ...] = ()


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "policies", metavar="POLICY", nargs="+", help="policies, or folders of *.pol; - reads standard input"
    )
    policies.add_compile_options(parser)
    parser.add_argument("--fail-on", choices=_LEVELS, default="error", help="exit with 1 from this severity on")
    parser.add_argument("--jobs", type=_jobs, metavar="N", help="processes to share the policies; else one a processor")
    policies.add_format(parser, "concise", "github", "sarif")


def _jobs(word: str) -> int:
    if not word.isdecimal() or not 1 <= int(word) <= _MOST_JOBS:
        raise ValueError(f"a number of processes, 1..{_MOST_JOBS}")
    return int(word)


def run(args: Arguments) -> int:
    """Every policy is checked, whatever the ones before it did; the worst of their exit codes counts."""
    from policyc.cli.frame import BUG, complain

    outcomes = _outcomes(args)
    _print(args, outcomes)
    dead = [each for each in outcomes if each.died]
    for each in dead:
        complain(f"{each.path} was not checked: {each.died}")
    if dead:
        return BUG
    if any(each.unreadable for each in outcomes):
        return 2
    failing = _LEVELS[: _LEVELS.index(args.fail_on) + 1]
    return int(any(told.severity in failing for each in outcomes for told in each.diagnostics))


def _outcomes(args: Arguments) -> list[Outcome]:
    """In the order of the command line. Files below a folder that others import are parts of these, not policies."""
    from policyc.cli.lintpaths import find

    found = find(args.policies)
    count = 1
    if len(found.paths) > 1:
        from policyc.cli.workers import processes

        count = processes(found.paths, args.jobs)
    outcomes = _together(args, found.paths, count) if count > 1 else [_outcome(args, path) for path in found.paths]
    parts = {name for each in outcomes for name in each.imports}
    return [each for each in outcomes if each.path not in found.walked or each.path not in parts]


def _outcome(args: Arguments, path: str, quiet: bool = False) -> Outcome:
    from policyc.vocabulary.diagnostic import PolicyError, UnreadableError

    try:
        checked = policies.checked(args, path, quiet)
    except PolicyError as reason:
        return Outcome(path, reason.diagnostics)
    except UnreadableError as reason:
        return Outcome(path, unreadable=str(reason))
    imports = tuple(each.name for each in checked.policy.modules[1:])
    rules, accesses = len(checked.policy.rules), checked.proof.accesses
    return Outcome(path, checked.diagnostics, checked.targets, rules, accesses, imports=imports)


def _together(args: Arguments, paths: Sequence[str], count: int) -> list[Outcome]:
    """The same by several processes, which find the compiler and the database loaded."""
    from functools import partial

    from policyc import pipeline  # noqa: F401
    from policyc.cli.console import Progress
    from policyc.cli.workers import Crew, Died

    policies.database(args)
    with Crew(partial(_outcome, args, quiet=True), paths, count) as crew, Progress("checking policies") as progress:
        answers = crew.answers(lambda done: progress.step(paths[done - 1], done - 1, len(paths)))
        return [
            Outcome(path, died=str(found)) if isinstance(found, Died) else found
            for path, found in zip(paths, answers, strict=True)
        ]


def _print(args: Arguments, outcomes: Sequence[Outcome]) -> None:
    from policyc.cli.frame import complain

    found = [told for each in outcomes for told in each.diagnostics]
    good = [each for each in outcomes if each.targets is not None]
    unreadable = [each.unreadable for each in outcomes if each.unreadable]
    for reason in unreadable:
        complain(reason)
    if args.format == "json":
        from policyc.reports import jsonform

        clean = [{"file": each.path, "targets": list(each.targets or ())} for each in good]
        fields = {"diagnostics": jsonform.diagnostics(found), "compiles": clean, "unreadable": unreadable}
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
