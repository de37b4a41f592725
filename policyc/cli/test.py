"""``policyc test POLICY...``: run the policies' own tests and assertions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policyc.database.names import Database
    from policyc.reports.colour import Paint
    from policyc.semantics.outcomes import CaseResult
    from policyc.semantics.policy import Policy
    from policyc.vocabulary.diagnostic import Diagnostic

SUMMARY = "run the tests and assertions that stand in policies"

EPILOG = """\
# one policy, or a folder of them
policyc test vm.pol
policyc test policies/*.pol
# also list what holds
policyc test vm.pol --verbose
# only tests whose name contains a word
policyc test vm.pol --only serial
"""


def arguments(parser: Parser) -> None:
    parser.add_argument("policies", metavar="POLICY", nargs="+", help="policies; - reads standard input")
    parser.add_argument("--only", metavar="TEXT", help="tests whose name contains this; assertions are left out")
    parser.add_argument("-v", "--verbose", action="store_true", help="list every case, also those that hold")
    policies.add_from_ir(parser)
    policies.add_database(parser)
    policies.add_format(parser)


class Outcome(NamedTuple):
    """What one policy's tests came to. claims: how many assertions and ``never allow`` it has, or 0 with ``--only``.

    broken: the diagnostics of those that do not hold, and of rules that contradict each other.
    """

    path: str
    policy: Policy
    cases: tuple[CaseResult, ...]
    claims: int
    broken: tuple[Diagnostic, ...]

    @property
    def failed(self) -> list[Diagnostic]:
        return [*self.broken, *(each.diagnostic for each in self.cases if each.diagnostic is not None)]


def run(args: Arguments) -> int:
    """Every policy is tested, whatever the ones before it did; the worst of their exit codes counts."""
    from policyc.cli.frame import complain
    from policyc.vocabulary.diagnostic import PolicyError, UnreadableError

    names = policies.database(args)
    outcomes: list[Outcome] = []
    refused: list[Diagnostic] = []
    status = 0
    for path in args.policies:
        try:
            outcomes.append(_outcome(args, path, names))
        except PolicyError as reason:
            refused += reason.diagnostics
        except UnreadableError as reason:
            status = complain(str(reason))
    if args.format == "json":
        from policyc.reports.jsonform import diagnostics, document

        fields = {"policies": [_fields(each) for each in outcomes], "diagnostics": diagnostics(refused)}
        print(document(fields), end="")
    else:
        _tell(args, outcomes, refused)
    failing = refused or any(each.failed for each in outcomes)
    return status or int(bool(failing))


def _outcome(args: Arguments, path: str, names: Database) -> Outcome:
    from policyc.semantics.check import check
    from policyc.semantics.decide import decide, variants
    from policyc.semantics.outcomes import run_tests

    policy = policies.front(args, path, names).policy
    claims = len(policy.asserts) + len(policy.nevers)
    if args.only is not None:
        chosen = tuple(each for each in policy.tests if args.only in each.name)
        policy, claims = policy._replace(tests=chosen, asserts=(), nevers=()), 0
    maps = {each: decide(policy, each) for each in variants(policy)}
    broken = tuple(check(policy, maps, names))
    return Outcome(path, policy, run_tests(policy, maps, names), claims, broken)


def _fields(outcome: Outcome) -> dict[str, Any]:
    from policyc.reports.jsonform import diagnostics

    return {
        "file": outcome.path,
        "tests": [
            {
                "name": test.name,
                "cases": [
                    {"line": each.case.span.line, "text": each.case.span.text, "passed": each.passed}
                    for each in outcome.cases
                    if each.case in test.cases
                ],
            }
            for test in outcome.policy.tests
        ],
        "claims": outcome.claims,
        "diagnostics": diagnostics(outcome.failed),
    }


def _tell(args: Arguments, outcomes: Sequence[Outcome], refused: Sequence[Diagnostic]) -> None:
    from policyc.cli import console

    paint = console.output_paint(args)
    failed = [*refused, *(found for each in outcomes for found in each.failed)]
    console.tell(failed, args)
    for outcome in outcomes:
        for line in _lines(outcome, args.verbose, paint):
            print(line)


def _lines(outcome: Outcome, verbose: bool, paint: Paint) -> list[str]:
    from policyc.reports.cells import safe

    lines = []
    for each in outcome.cases if verbose else ():
        mark = paint("good", "holds") if each.passed else paint("error", "FAILS")
        lines.append(f"  {mark}  {safe(each.test)}: {safe(' '.join(each.case.span.text.split()))}")
    cases, failing = len(outcome.cases), sum(not each.passed for each in outcome.cases)
    wrong = sum(each.code in ("E211", "E212") for each in outcome.broken)
    said = [_held(cases, failing, "case", f" of {_counted(len(outcome.policy.tests), 'test')}")] if cases else []
    said += [_held(outcome.claims, wrong, "assertion", "")] if outcome.claims else []
    return [*lines, f"{safe(outcome.path)}: {'; '.join(said) or 'nothing to test'}"]


def _held(count: int, failing: int, word: str, of: str) -> str:
    """``4 cases of 2 tests hold``, ``1 of 4 cases of 2 tests fails``."""
    if failing:
        return f"{failing} of {_counted(count, word)}{of} {'fails' if failing == 1 else 'fail'}"
    return f"{_counted(count, word)}{of} {'holds' if count == 1 else 'hold'}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
