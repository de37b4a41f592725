"""``policyc check POLICY...``: everything `compile` checks; nothing is written."""

from __future__ import annotations

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser
from policyc.vocabulary.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policyc.pipeline import Checked
    from policyc.vocabulary.diagnostic import Diagnostic

SUMMARY = "check policies: everything that compile does, and nothing written"

EPILOG = """\
# one policy, or several
policyc check vm.pol
policyc check policies/*.pol
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


def arguments(parser: Parser) -> None:
    parser.add_argument("policies", metavar="POLICY", nargs="+", help="policies; - reads standard input")
    policies.add_compile_options(parser)
    parser.add_argument("--fail-on", choices=_LEVELS, default="error", help="exit with 1 from this severity on")
    policies.add_format(parser, "concise", "github", "sarif")


def run(args: Arguments) -> int:
    """Every policy is checked, whatever the ones before it did; the worst of their exit codes counts."""
    from policyc.vocabulary.diagnostic import PolicyError, UnreadableError

    found: list[Diagnostic] = []
    good: list[tuple[str, Checked]] = []
    unreadable: list[str] = []
    for path in args.policies:
        try:
            checked = policies.checked(args, path)
        except PolicyError as reason:
            found += reason.diagnostics
        except UnreadableError as reason:
            unreadable.append(str(reason))
        else:
            found += checked.diagnostics
            good.append((path, checked))
    _print(args, found, good, unreadable)
    if unreadable:
        return 2
    failing = _LEVELS[: _LEVELS.index(args.fail_on) + 1]
    return int(any(each.severity in failing for each in found))


def _print(
    args: Arguments, found: Sequence[Diagnostic], good: Sequence[tuple[str, Checked]], unreadable: Sequence[str]
) -> None:
    from policyc.cli.frame import complain

    for each in unreadable:
        complain(each)
    if args.format == "json":
        from policyc.reports import jsonform

        clean = [{"file": path, "targets": list(each.targets)} for path, each in good]
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
        for path, checked in good:
            print(_verdict(path, checked))


def _verdict(path: str, checked: Checked) -> str:
    from policyc.reports.cells import safe

    count = len(checked.policy.rules)
    rules = "1 rule" if count == 1 else f"{count} rules"
    return f"{safe(path)}: compiles to {', '.join(checked.targets)} ({rules}, {policies.proven(checked)})"
