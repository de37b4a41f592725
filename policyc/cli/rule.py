"""``policyc rule [CODE...]``: what a code means, with a policy to avoid and one to prefer."""

from __future__ import annotations

from policyc.cli.parser import Arguments, Parser, UsageError

SUMMARY = "explain codes of findings and errors"

EPILOG = """\
# one rule's page
policyc rule S409
# by its name
policyc rule reset
# the list of all rules
policyc rule
"""


def arguments(parser: Parser) -> None:
    parser.add_argument("codes", metavar="CODE", nargs="*", help="codes or names; none lists all rules")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json: for programs")


def run(args: Arguments) -> int:
    from policyc.lint import pages
    from policyc.lint.registry import codes, load

    wanted = [_code(word) for word in args.codes]
    if args.format == "json":
        from policyc.reports.jsonform import document

        print(document({"rules": [_fields(code) for code in wanted or codes()]}), end="")
    elif wanted:
        print(
            "\n".join(pages.page(load(code).rule) if code in codes() else pages.short(code) for code in wanted), end=""
        )
    else:
        for code in codes():
            rule = load(code).rule
            off = "" if rule.on else " (off)"
            print(f"{code}  {rule.slug:24} {rule.severity + off:14} {_about(code)}")
    return 0


def _about(code: str) -> str:
    from policyc.vocabulary.codes import CODES

    return CODES[code].about


def _code(word: str) -> str:
    from policyc.vocabulary.codes import CODES
    from policyc.vocabulary.near import nearest

    slugs = {each.slug: code for code, each in CODES.items()}
    if word.upper() in CODES:
        return word.upper()
    if word.lower() in slugs:
        return slugs[word.lower()]
    close = nearest(word, [*CODES, *slugs], 1)
    hint = f"did you mean `{close[0]}`?" if close else "`policyc rule` lists them"
    raise UsageError(f"there is no code or name `{word}`", hint)


def _fields(code: str) -> dict[str, object]:
    from policyc.lint.registry import codes, load
    from policyc.vocabulary.codes import CODES

    known = CODES[code]
    fields: dict[str, object] = {"code": code, "slug": known.slug, "severity": known.severity, "about": known.about}
    if code in codes():
        rule = load(code).rule
        fields |= {
            "on": rule.on,
            "threats": sorted(rule.threats),
            "why": rule.why,
            "source": rule.source,
            "avoid": rule.avoid,
            "prefer": rule.prefer,
        }
    return fields
