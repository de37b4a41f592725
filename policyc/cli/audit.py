"""``policyc audit IMAGE...``: what a careful reviewer would say of somebody else's images, without a policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policyc.cli import images, policies
from policyc.cli.parser import Arguments, Parser
from policyc.cli.rulechoice import add_choice, failing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policyc.reports.audits import Audited

SUMMARY = "find what is dangerous or slow in raw images, without a policy"

EPILOG = """\
# both bitmaps of a hypervisor on VT-x
policyc audit msr.bin io.bin
# 8192 bytes can be two things
policyc audit bitmap.dat --as msrpm
# an array in somebody's source
sed -n '/msr_bitmap\\[/,/};/p' vmx.c | policyc audit -
# the guest owns the machine, and a thin hypervisor watches it
policyc audit msr.bin --threat monitor
# for a code-scanning service
policyc audit msr.bin --format sarif > findings.sarif
"""


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", help="images, or text that shows one; - reads standard input"
    )
    parser.add_argument("--as", dest="kind", choices=images.AS, help="what the image is, where its size does not say")
    add_choice(parser)
    policies.add_database(parser)
    policies.add_format(parser, "concise", "github", "sarif")


def run(args: Arguments) -> int:
    """Every image is looked at, whatever is wrong with others."""
    from policyc.analyses.bits import TARGETS
    from policyc.cli.frame import complain
    from policyc.lint.images import audit
    from policyc.lint.settings import Settings
    from policyc.reports.audits import Audited
    from policyc.vocabulary.diagnostic import UnreadableError

    names = policies.database(args)
    settings = Settings(
        args.select or None,
        args.extend_select or (),
        args.ignore or (),
        *((args.threat,) if args.threat else ()),
    )._replace(platform=args.platform or "")
    found: list[Audited] = []
    unreadable: list[str] = []
    for word in args.images:
        try:
            exits, data = images.load(word, args.kind)
        except (UnreadableError, OSError) as reason:
            unreadable.append(f"{word}: {reason.strerror}" if isinstance(reason, OSError) else str(reason))
            continue
        name = "<stdin>" if word == "-" else word
        findings = audit(name, exits, data, names, settings)
        found.append(Audited(name, exits.image, TARGETS[exits.image], findings))
    for each in unreadable:
        complain(each)
    _print(args, found, unreadable)
    return 2 if unreadable else int(_fails(args.fail_on or "warning", found))


def _fails(level: str, found: Sequence[Audited]) -> bool:
    return any(each.diagnostic.severity in failing(level) for image in found for each in image.findings)


def _print(args: Arguments, found: Sequence[Audited], unreadable: Sequence[str]) -> None:
    from policyc.reports import audits

    rows = [(image, each) for image in found for each in image.findings]
    if args.format == "json":
        print(audits.document(found, unreadable), end="")
    elif args.format == "sarif":
        from policyc.lint.registry import load
        from policyc.reports.sarif import Words

        rules = {code: load(code).rule for code in dict.fromkeys(each.diagnostic.code for _, each in rows)}
        print(audits.log(found, {code: Words(rule.why, rule.source) for code, rule in rules.items()}), end="")
    elif args.format in ("concise", "github"):
        line = audits.concise if args.format == "concise" else audits.annotation
        for image, each in rows:
            print(line(image, each))
    else:
        _tell(args, found)


def _tell(args: Arguments, found: Sequence[Audited]) -> None:
    """Findings on standard error, what came of each image on standard output."""
    import sys

    from policyc.cli import console
    from policyc.reports import audits
    from policyc.reports.cells import safe
    from policyc.reports.text import summary

    paint = console.error_paint(args)
    for image in found:
        for each in image.findings:
            sys.stderr.write(audits.text(each, paint) + "\n\n")
        sys.stderr.flush()
        counted = summary([each.diagnostic for each in image.findings])
        print(f"{safe(image.name)} ({image.kind}): {counted or 'nothing found'}")
