"""``policyc test POLICY...``: run the policies' own tests and assertions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policyc.analyses.coverage import Coverage
    from policyc.database.names import Database
    from policyc.reports.colour import Paint
    from policyc.semantics.outcomes import CaseResult
    from policyc.semantics.policy import Policy
    from policyc.vocabulary.diagnostic import Diagnostic

SUMMARY = "run the tests and assertions that stand in policies"

EPILOG = """\
# one policy, or all below a folder
policyc test vm.pol
policyc test policies/
# also list what holds
policyc test vm.pol --verbose
# only tests whose name contains a word
policyc test vm.pol --only serial
# which rules do they leave out, and what would reach these?
policyc test vm.pol --coverage
# for a build server
policyc test policies/ --format junit > results.xml
"""

_PAUSE = 0.25
"""Seconds between two looks at the files with ``--watch``."""


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "policies", metavar="POLICY", nargs="+", help="policies, or folders of *.pol; - reads standard input"
    )
    parser.add_argument("--only", metavar="TEXT", help="tests whose name contains this; assertions are left out")
    parser.add_argument("-v", "--verbose", action="store_true", help="list every case, also those that hold")
    parser.add_argument(
        "--coverage", action="store_true", help="list rules that no test reaches, with cases that would"
    )
    parser.add_argument(
        "--watch", action="store_true", help="run again whenever one of the files changes, until Ctrl-C"
    )
    policies.add_from_ir(parser)
    policies.add_database(parser)
    policies.add_format(parser, "junit")


class Outcome(NamedTuple):
    """What one policy's tests came to. claims: how many assertions and ``never allow`` it has, or 0 with ``--only``.

    broken: the diagnostics of those that do not hold, and of rules that contradict each other. coverage: with
    ``--coverage`` alone.
    """

    path: str
    policy: Policy
    cases: tuple[CaseResult, ...]
    claims: int
    broken: tuple[Diagnostic, ...]
    coverage: Coverage | None = None

    @property
    def failed(self) -> list[Diagnostic]:
        return [*self.broken, *(each.diagnostic for each in self.cases if each.diagnostic is not None)]


def run(args: Arguments) -> int:
    """Every policy is tested, whatever the ones before it did; the worst of their exit codes counts."""
    if not args.watch:
        status, _ = _once(args)
        return status
    if args.format != "text" or "-" in args.policies:
        raise UsageError("`--watch` shows text and reads files", "leave --format out, and name files")
    return _watch(args)


def _once(args: Arguments) -> tuple[int, list[str]]:
    """The exit code of one run, and the files that were read."""
    from policyc.cli.frame import complain
    from policyc.cli.many import find
    from policyc.vocabulary.diagnostic import PolicyError, UnreadableError

    names = policies.database(args)
    outcomes: list[Outcome] = []
    refused: dict[str, tuple[Diagnostic, ...]] = {}
    status = 0
    found = find(args.policies)
    for path in found.paths:
        try:
            outcomes.append(_outcome(args, path, names))
        except PolicyError as reason:
            refused[path] = reason.diagnostics
        except UnreadableError as reason:
            status = complain(str(reason))
    parts = _imported(outcomes, found.walked)
    outcomes = [each for each in outcomes if each.path not in parts]
    refused = {path: diagnostics for path, diagnostics in refused.items() if path not in parts}
    wrong = [each for diagnostics in refused.values() for each in diagnostics]
    if args.format == "json":
        from policyc.reports.jsonform import diagnostics, document

        fields = {"policies": [_fields(each) for each in outcomes], "diagnostics": diagnostics(wrong)}
        print(document(fields), end="")
    elif args.format == "junit":
        print(_junit(outcomes, refused), end="")
    else:
        _tell(args, outcomes, wrong)
    if args.only is not None and not wrong and not status and not any(each.policy.tests for each in outcomes):
        # A word mistyped in a pipeline must not look like tests that pass.
        status = complain(f"no test has `{args.only}` in its name")
    failing = wrong or any(each.failed for each in outcomes)
    files = [each.name for outcome in outcomes for each in outcome.policy.modules]
    files += [each.primary.span.source.name for each in wrong if each.primary is not None]
    return status or int(bool(failing)), [*args.policies, *args.database, *files]


def _imported(outcomes: Sequence[Outcome], walked: frozenset[str]) -> set[str]:
    """Of the files found below folders, those that a policy imports: they are tested in it and not alone."""
    from os.path import normpath

    modules = {normpath(each.name) for outcome in outcomes for each in outcome.policy.modules[1:]}
    return {path for path in walked if normpath(path) in modules}


def _watch(args: Arguments) -> int:
    """Run whenever a file changes. Ends only by Ctrl-C, which policyc.cli.frame turns into its exit code."""
    import sys
    import time

    known = _stamps([*args.policies, *args.database])
    while True:
        started = time.time_ns()
        _, read = _once(args)
        files = list(dict.fromkeys([*known, *read]))  # Also what could be read before somebody broke it.
        sys.stdout.flush()
        # What is changed while the run reads it must be seen as well: of a new file only its time tells.
        late = any(
            each is not None and each[0] >= started for path, each in _stamps(files).items() if path not in known
        )
        known = {**_stamps(files), **known}
        while not late and _stamps(files) == known:
            time.sleep(_PAUSE)
        known = _stamps(files)
        print()


def _stamps(files: Sequence[str]) -> dict[str, tuple[int, int] | None]:
    """When each file was changed, in nanoseconds, and its size; None for one that is not there."""
    import os

    found: dict[str, tuple[int, int] | None] = {}
    for path in files:
        try:
            state = os.stat(path)
        except OSError:
            found[path] = None
        else:
            found[path] = (state.st_mtime_ns, state.st_size)
    return found


def _outcome(args: Arguments, path: str, names: Database) -> Outcome:
    from policyc.semantics.check import check
    from policyc.semantics.decide import decide_all
    from policyc.semantics.outcomes import run_tests

    policy = policies.front(args, path, names).policy
    claims = len(policy.asserts) + len(policy.nevers)
    if args.only is not None:
        chosen = tuple(each for each in policy.tests if args.only in each.name)
        policy, claims = policy._replace(tests=chosen, asserts=(), nevers=()), 0
    maps = decide_all(policy)
    broken = tuple(check(policy, maps, names))
    results = run_tests(policy, maps, names)
    covered = None
    if args.coverage:
        from policyc.analyses.coverage import coverage

        covered = coverage(policy, maps, results, names)
    return Outcome(path, policy, results, claims, broken, covered)


def _fields(outcome: Outcome) -> dict[str, Any]:
    from policyc.reports.jsonform import diagnostics

    fields: dict[str, Any] = {
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
    if outcome.coverage is not None:
        fields["coverage"] = {
            "rules": outcome.coverage.rules,
            "covered": outcome.coverage.covered,
            "uncovered": [
                {
                    "file": each.rule.statement.source.name,
                    "line": each.rule.statement.line,
                    "label": each.rule.label,
                    "suggestion": None if each.suggestion is None else each.suggestion.line,
                }
                for each in outcome.coverage.uncovered
            ],
        }
    return fields


def _junit(outcomes: Sequence[Outcome], refused: dict[str, tuple[Diagnostic, ...]]) -> str:
    """A case of a test is a test case there, so is a claim, and a policy that does not resolve."""
    from policyc.reports import junit
    from policyc.reports.text import report

    suites = []
    for outcome in outcomes:
        cases = [
            junit.Case(
                f"{each.test}: {' '.join(each.case.span.text.split())}",
                each.case.span.line,
                "" if each.diagnostic is None else report([each.diagnostic]),
            )
            for each in outcome.cases
        ]
        wrong = {each.primary.span: each for each in outcome.broken if each.primary is not None}
        for span in (*(each.span for each in outcome.policy.asserts), *(each.span for each in outcome.policy.nevers)):
            found = wrong.pop(span, None)
            line = span.line if span.source.name == outcome.path else 0
            cases.append(junit.Case(" ".join(span.text.split()), line, "" if found is None else report([found])))
        cases += [junit.Case(f"{each.code} {each.slug}", 0, report([each])) for each in wrong.values()]
        suites.append(junit.Suite(outcome.path, tuple(cases)))
    for path, diagnostics in refused.items():
        suites.append(junit.Suite(path, (junit.Case("resolves", 0, report(diagnostics), True),)))
    return junit.document(suites)


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
    lines.append(f"{safe(outcome.path)}: {'; '.join(said) or 'nothing to test'}")
    return lines if outcome.coverage is None else [*lines, *_covered(outcome.path, outcome.coverage)]


def _covered(path: str, coverage: Coverage) -> list[str]:
    """How many rules the tests reach, the others, and a block to paste that reaches these."""
    from policyc.reports.cells import safe
    from policyc.reports.tables import table

    lines = [f"{safe(path)}: tests reach {coverage.covered} of {_counted(coverage.rules, 'rule')}"]
    rows = []
    for rule, suggestion in coverage.uncovered:
        note = "decides no access, so no test can reach it" if suggestion is None else ""
        where = f"{rule.statement.source.name}:{rule.statement.line}"
        rows.append((safe(where), safe(" ".join(rule.statement.text.split())), note))
    lines += table(rows)
    suggested = [each.suggestion.line for each in coverage.uncovered if each.suggestion is not None]
    if suggested:
        lines += ["", "these cases would reach them; say what must become of each access:", ""]
        lines += ['test "rules that no test reached" {', *(f"    {each}" for each in suggested), "}"]
    return lines


def _held(count: int, failing: int, word: str, of: str) -> str:
    """``4 cases of 2 tests hold``, ``1 of 4 cases of 2 tests fails``."""
    if failing:
        return f"{failing} of {_counted(count, word)}{of} {'fails' if failing == 1 else 'fail'}"
    return f"{_counted(count, word)}{of} {'holds' if count == 1 else 'hold'}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
