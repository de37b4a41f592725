"""``policyc version``: versions of everything that shapes a bundle."""

from __future__ import annotations

from policyc.cli.parser import Arguments, Parser

SUMMARY = "versions of policyc, the language and the database"

EPILOG = """\
# what to quote in a bug report
policyc version
# the compiler's version alone, on one line
policyc --version
"""


def arguments(parser: Parser) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json: for programs")


def run(args: Arguments) -> int:
    import platform

    from policyc import __version__
    from policyc.database.entry import VERSION
    from policyc.semantics.resolve import LANGUAGE

    fields = {"policyc": __version__, "language": LANGUAGE, "database": VERSION, "python": platform.python_version()}
    if args.format == "json":
        from policyc.reports.jsonform import document

        print(document(fields), end="")
        return 0
    for name, value in fields.items():
        print(f"{name:<10}{value}")
    return 0
