"""``policyc fmt PATH...``: every policy in one layout, proven to say what it said before it is written."""

from __future__ import annotations

import sys

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser, UsageError
from policyc.vocabulary.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policyc.cli.many import Done
    from policyc.database.names import Database
    from policyc.semantics.policy import Policy
    from policyc.vocabulary.diagnostic import Diagnostic
    from policyc.vocabulary.span import Source

SUMMARY = "lay policies out in one way, without changing what they say"

EPILOG = """\
# every policy below a folder, in place
policyc fmt policies/
# in a build: which are not formatted?
policyc fmt --check policies/
# only show the patch
policyc fmt --diff vm.pol
# from an editor's buffer
policyc fmt - < vm.pol
"""


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="policies, or folders of *.pol; - reads standard input"
    )
    parser.add_argument("--check", action="store_true", help="list the files that would change; nothing is written")
    parser.add_argument("--diff", action="store_true", help="show what would change; nothing is written")
    policies.add_database(parser)
    policies.add_jobs(parser)


class Laid(NamedTuple):
    """A policy and its new text, which has been held to it."""

    source: Source
    text: str


def run(args: Arguments) -> int:
    """Every file is looked at, whatever is wrong with others; none is written before all have been compared."""
    from policyc.cli import console

    if "-" in args.paths and len(args.paths) > 1 and not (args.check or args.diff):
        raise UsageError("the formatted policy goes to standard output", "format files and standard input apart")
    done = _laid_out(args)
    laid = [each for each in done.answers if isinstance(each, Laid)]
    changed = [each for each in laid if each.text != each.source.text]
    _hand_over(args, laid, changed, bool(done.died))
    done.complain()
    wrong = [found for each in done.answers if not isinstance(each, Laid) for found in each]
    console.tell(wrong, args, "these files are left as they are")
    return done.status(int(bool(wrong) or (bool(changed) and (args.check or args.diff))))


def _laid_out(args: Arguments) -> Done:
    from policyc.cli.many import find, share

    names = policies.database(args)
    paths = _each_once(find(args.paths).paths)
    # Resolving nothing imports what resolving takes.
    return share("reading", paths, lambda path, _: _outcome(path, names), args.jobs, lambda: _resolved("-", b"", names))


def _outcome(path: str, names: Database) -> Laid | tuple[Diagnostic, ...]:
    """The policy laid out, or what is wrong with it."""
    from policyc.vocabulary.diagnostic import PolicyError

    try:
        return _formatted(path, names)
    except PolicyError as reason:
        return reason.diagnostics


def _hand_over(args: Arguments, laid: Sequence[Laid], changed: Sequence[Laid], died: bool) -> None:
    """Show or write the new texts. died: not every policy was looked at, so none is written."""
    from policyc.cli import rewriting

    texts = {each.source.name: each.text for each in changed}
    if args.diff:
        rewriting.show(texts, {each.source.name: each.source.text for each in changed})
    elif args.check:
        _list(list(texts))
    elif args.paths == ["-"]:
        _print("".join(each.text for each in laid))
    elif not died:
        rewriting.write(texts, {each.source.name: each.source.digest for each in changed})
        _tell(len(changed), len(laid))


def _each_once(paths: Sequence[str]) -> list[str]:
    """Paths of different files: one that is reached by two names is written once."""
    import os

    return list({path if path == "-" else os.path.realpath(path): path for path in reversed(paths)}.values())[::-1]


def _print(text: str) -> None:
    """A policy is UTF-8 in every locale."""
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        sys.stdout.write(text)
    else:
        binary.write(text.encode("utf-8"))


def _list(changed: list[str]) -> None:
    from policyc.reports.cells import safe

    for name in changed:
        print(safe(name))


def _tell(changed: int, read: int) -> None:
    said = [f"{changed} formatted"] if changed else []
    if read > changed:
        said.append(f"{read - changed} left as {'it was' if read - changed == 1 else 'they were'}")
    if said:
        print(f"policies: {', '.join(said)}")


def _formatted(path: str, names: Database) -> Laid:
    """Raises PolicyError where the policy cannot be parsed."""
    from policyc.syntax.files import read_file, read_stdin
    from policyc.syntax.format import formatted, same
    from policyc.syntax.parser import parse
    from policyc.syntax.reader import decode
    from policyc.vocabulary.diagnostic import PolicyError

    data = read_stdin() if path == "-" else read_file(path)
    source = decode("<stdin>" if path == "-" else path, data)
    module, problems = parse(source)
    if problems:
        raise PolicyError(problems)
    text = formatted(source)
    if text != source.text:
        new = decode(source.name, text.encode())
        again, problems = parse(new)
        _must(not problems and same(module, again), f"formatting {path} changes what it says")
        _must(formatted(new) == text, f"formatting {path} twice is not formatting it once")
        _hold(path, data, text.encode(), names)
    return Laid(source, text)


def _hold(path: str, before: bytes, after: bytes, names: Database) -> None:
    """Resolve both texts and compare; a policy that does not resolve has been compared as far as it can be."""
    from policyc.syntax.format import stripped

    was = _resolved(path, before, names)
    if was is not None:
        now = _resolved(path, after, names)
        _must(stripped(now) == stripped(was), f"formatting {path} changes what it decides")


def _must(holds: bool, otherwise: str) -> None:
    """An assertion that no option of Python turns off: it ends the command with 3 before a file is written."""
    if not holds:
        raise AssertionError(otherwise)


def _resolved(path: str, data: bytes, names: Database) -> Policy | None:
    from policyc import pipeline
    from policyc.vocabulary.diagnostic import PolicyError

    try:
        return pipeline.front(path, database=names, buffers={path: data}).policy
    except PolicyError:
        return None
