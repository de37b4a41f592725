"""``policyc lint PATH...``: what a careful reviewer would say of policies that compile."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser, UsageError
from policyc.cli.rulechoice import NEVER, add_choice, failing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from policyc.cli.lintconfig import Configs
    from policyc.cli.many import Done
    from policyc.review import Reviewed, Verdict
    from policyc.vocabulary.diagnostic import Diagnostic

SUMMARY = "find what is dangerous, slow or unclear in policies"

EPILOG = """\
# every policy below a folder
policyc lint policies/
# one family of findings, and one that is off by default
policyc lint vm.pol --select S4 --extend-select P307
# the guest owns the machine, and a thin hypervisor watches it
policyc lint vm.pol --threat monitor
# mend what can be mended without changing an image
policyc lint vm.pol --fix
# only show the patch
policyc lint vm.pol --diff
# accept what an old policy has, and be told of what is new
policyc lint policies/ --write-baseline lint-baseline.json
policyc lint policies/ --baseline lint-baseline.json
# for a code-scanning service
policyc lint policies/ --format sarif > findings.sarif
# what does S409 mean?
policyc rule S409
"""


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="policies, or folders of *.pol; - reads standard input"
    )
    add_choice(parser)
    parser.add_argument("--fix", action="store_true", help="apply safe fixes: every image stays as it is")
    parser.add_argument(
        "--unsafe-fixes", action="store_true", help="with --fix or --diff: fixes that change meaning too"
    )
    parser.add_argument("--diff", action="store_true", help="show what --fix would change; nothing is written")
    parser.add_argument("--add-waivers", action="store_true", help="accept what is found, in comments")
    parser.add_argument(
        "--reason",
        type=_reason,
        metavar="[RULES=]TEXT",
        action="append",
        help="what these comments say, of all findings or of some; may be repeated",
    )
    parser.add_argument("--baseline", metavar="FILE", help="findings that are known and not told again")
    parser.add_argument("--write-baseline", metavar="FILE", help="put all that is found now into such a file")
    parser.add_argument("--no-waivers", action="store_true", help="tell also what comments in the policies accept")
    parser.add_argument("--strict-waivers", action="store_true", help="a waiver whose time is over is an error")
    parser.add_argument("--config", metavar="FILE", help="settings; else the nearest policyc.toml or pyproject.toml")
    parser.add_argument("--no-config", action="store_true", help="no settings file")
    policies.add_database(parser)
    policies.add_jobs(parser)
    policies.add_format(parser, "concise", "github", "sarif")


def _reason(word: str) -> tuple[str, str]:
    """A pattern of codes (ALL where none is given) and the reason to accept what they find."""
    from policyc.lint.settings import ALL, known

    rules, equals, text = word.partition("=")
    if not equals or not known(rules.strip()):
        rules, text = ALL, word
    if not text.strip() or any(char in text for char in '"\\\r\n') or not text.isprintable():
        raise ValueError('it stands between quotes, on one line: leave out `"`, `\\` and line ends')
    return rules.strip(), text


def run(args: Arguments) -> int:
    """Every policy is looked at, whatever is found in others; the worst of their exit codes counts."""
    from policyc.cli.lintconfig import Configs
    from policyc.syntax.files import read_stdin, watch

    watch()
    _together(args)
    for name in ("extend_select", "ignore"):
        setattr(args, name, getattr(args, name) or ())
    configs = Configs(args.config, args.no_config)
    typed = {"-": read_stdin()} if "-" in args.paths else {}
    done = _reviews(args, configs, typed)
    date = today()
    if done.died and (args.fix or args.add_waivers):  # What was not looked at may import what would be changed.
        done.complain()
        return done.status(0)
    if args.fix or args.diff or args.add_waivers:
        from policyc.cli import lintfix

        changed = lintfix.run(args, done.answers, date, _database_files(args, configs), typed)
        if args.diff:
            return _after_diff(args, done, bool(changed))
        done = _reviews(args, configs, typed | changed)
    return _finish(args, configs, done, date)


def _together(args: Arguments) -> None:
    """Options that make sense together only, or never."""
    if args.unsafe_fixes and not (args.fix or args.diff):
        raise UsageError("--unsafe-fixes changes nothing by itself", "write it beside --fix or --diff")
    if "-" in args.paths and (args.fix or args.add_waivers) and args.format != "text":
        raise UsageError("the mended policy goes to standard output", "leave --format out, or name a file")
    if args.add_waivers and (args.fix or args.diff or args.no_waivers):
        raise UsageError("--add-waivers stands alone", "fix first, then accept what is left")


def _database_files(args: Arguments, configs: Configs) -> tuple[str, ...]:
    """The files of ``--db`` and of the settings of the first path."""
    return tuple(dict.fromkeys((*args.database, *configs.above(args.paths[0]).database)))


def _reviews(args: Arguments, configs: Configs, typed: Mapping[str, bytes]) -> Done:
    from policyc.cli.lintconfig import from_command_line
    from policyc.cli.many import find, share
    from policyc.lint.registry import load_all
    from policyc.review import imported, review

    database = policies.database(args, _database_files(args, configs))
    found = find(args.paths)
    settings = {path: from_command_line(args, configs.above(path).of(path)) for path in found.paths}
    done = share(
        "reading",
        found.paths,
        lambda path, _: review(path, settings[path], database=database, buffers=typed),
        args.jobs,
        lambda: list(load_all()),
    )
    parts = imported(done.answers) & found.walked
    return done._replace(answers=[each for each in done.answers if each.path not in parts])


def _finish(args: Arguments, configs: Configs, done: Done, today: str) -> int:
    from policyc.review import verdict

    config = configs.above(args.paths[0])
    result = verdict(done.answers, today, waive=not args.no_waivers)
    if args.write_baseline is not None and not done.died:
        _write_baseline(args.write_baseline, result.left)
    baseline = args.baseline or config.baseline
    if baseline is not None and args.write_baseline is None:
        result = without_known(baseline, result)
    done.complain()
    _print(args, done.answers, result, done.unreadable)
    level = NEVER if args.write_baseline is not None else args.fail_on or config.fail_on or "warning"
    return done.status(int(_fails(level, result)))


def _after_diff(args: Arguments, done: Done, changed: bool) -> int:
    """Tell why some policies have no part in the patch; the exit code."""
    from policyc.cli import console
    from policyc.vocabulary.diagnostic import ERROR

    done.complain()
    errors = [found for each in done.answers if not each.compiles for found in each.found if found.severity == ERROR]
    console.tell(errors, args)
    return done.status(int(changed or bool(errors)))


def _fails(level: str, result: Verdict) -> bool:
    """Whether a finding reaches the level. What does not compile fails at every level."""
    if not result.compile:
        return True
    return any(each.severity in failing(level) for each in result.left)


def _renamed(baseline: str) -> Callable[[str], str]:
    """From a source's name to the one in a baseline: its path from the baseline's folder."""
    folder = os.path.dirname(os.path.abspath(baseline))
    return lambda name: name if name == "<stdin>" else os.path.relpath(name, folder).replace(os.sep, "/")


def _write_baseline(path: str, found: Sequence[Diagnostic]) -> None:
    import json

    from policyc.cli import output
    from policyc.lint.baseline import to_fields

    output.write(path, json.dumps(to_fields(found, _renamed(path)), indent=2) + "\n")


def without_known(path: str, result: Verdict) -> Verdict:
    import json

    from policyc.lint.baseline import from_fields, new
    from policyc.syntax.files import read_file
    from policyc.vocabulary.diagnostic import UnreadableError

    try:
        fields = json.loads(read_file(path))
    except (ValueError, RecursionError):
        raise UnreadableError(f"cannot use {path}: it is not JSON") from None
    return result._replace(left=new(result.left, from_fields(fields, path), _renamed(path)))


def today() -> str:
    """The date that waivers are held against: of SOURCE_DATE_EPOCH where it is set, else today's (UTC)."""
    import time

    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    return time.strftime("%Y-%m-%d", time.gmtime(int(given) if given.isdigit() else None))


def _print(args: Arguments, reviews: Sequence[Reviewed], result: Verdict, unreadable: Sequence[str]) -> None:
    if args.format == "json":
        from policyc.reports import jsonform

        fields = {
            "diagnostics": jsonform.diagnostics(result.left),
            "waived": [
                {**jsonform.diagnostic(each.diagnostic), "reason": each.waiver.reason} for each in result.waived
            ],
            "files": [each.path for each in reviews],
            "unreadable": list(unreadable),
        }
        print(jsonform.document(fields), end="")
    elif args.format in ("concise", "github"):
        from policyc.reports import concise, github

        line = concise.line if args.format == "concise" else github.line
        for diagnostic in result.left:
            print(line(diagnostic))
    elif args.format == "sarif":
        from policyc.lint.registry import codes, load
        from policyc.reports import sarif

        told = {each.code for each in (*result.left, *(each.diagnostic for each in result.waived))}
        rules = {code: load(code).rule for code in codes() if code in told}
        words = {code: sarif.Words(rule.why, rule.source) for code, rule in rules.items()}
        waived = [(each.diagnostic, each.waiver.reason or "") for each in result.waived]
        print(sarif.document(result.left, words, waived), end="")
    else:
        from policyc.cli import console

        console.tell(_lines_shown_once(result.left), args)
        if reviews and not (args.fix and "-" in args.paths):  # There, standard output is the mended policy.
            print(_summary(reviews, result))


def _lines_shown_once(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Further findings about the very same place without its lines: an open default has a dozen."""
    out: list[Diagnostic] = []
    before = None
    for each in found:
        place = None if each.primary is None else each.primary.span
        again = place is not None and place == before and not each.fixes and not each.secondary
        out.append(each._replace(primary=None) if again else each)
        before = place
    return out


def _summary(reviews: Sequence[Reviewed], result: Verdict) -> str:
    count = len(reviews)
    policies_ = "1 policy" if count == 1 else f"{count} policies"
    waived = f", {len(result.waived)} accepted by waivers" if result.waived else ""
    if not result.left:
        return f"{policies_}: nothing found{waived}"
    found = "1 finding" if len(result.left) == 1 else f"{len(result.left)} findings"
    return f"{policies_}: {found}{waived}"
