"""``policyc exec BUNDLE -- VMM...``: an unmodified VMM that uses KVM, under a bundle's policy."""

from __future__ import annotations

import sys

from policyc.cli import policies
from policyc.cli.ending import as_ctrl_c_does
from policyc.cli.parser import Arguments, Parser
from policyc.cli.run import seconds

SUMMARY = "run QEMU, or another program that uses KVM, under a bundle's policy"

EPILOG = """\
# SeaBIOS in an unmodified QEMU; the summary follows on standard error
policyc exec vm.bundle -- qemu-system-x86_64 -enable-kvm -cpu kvm64 -display none
# a line for each exit, into a file
policyc exec vm.bundle --show exits --report exits.txt -- qemu-system-x86_64 -enable-kvm
# another profile; for programs: one JSON object a line
policyc exec vm.bundle --profile hardened --format json -- qemu-system-x86_64 -enable-kvm
"""


def arguments(parser: Parser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="the bundle's folder")
    parser.add_argument("vmm", metavar="VMM", nargs="rest", help="the VMM's command line")
    parser.add_argument("--profile", metavar="NAME", help="the profile; else the base policy")
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="end the VMM after this time")
    parser.add_argument("--show", choices=("exits", "summary"), default="summary", help="exits: a line for each")
    parser.add_argument("--report", metavar="FILE", help="write the report there; else to standard error")
    policies.add_database(parser)
    policies.add_format(parser)


@as_ctrl_c_does
def run(args: Arguments) -> int:
    from contextlib import ExitStack

    from policyc import runtime
    from policyc.runtime.endings import INTERRUPTED
    from policyc.runtime.governed import Governed
    from policyc.runtime.lines import JsonLines, Lines
    from policyc.vocabulary.diagnostic import UnreadableError

    names = policies.database(args)
    bundle = runtime.load(args.bundle)
    with ExitStack() as stack:
        stream = sys.stderr
        if args.report is not None:
            try:
                stream = stack.enter_context(open(args.report, "w", encoding="utf-8"))
            except OSError as reason:
                raise UnreadableError(f"cannot write {args.report}: {reason.strerror}") from None
        lines = (JsonLines if args.format == "json" else Lines)(stream, names, exits=args.show == "exits")
        governed = Governed(bundle, args.profile, args.vmm, lines)
        report = governed.run(args.timeout)
        lines.finished(report)
    if governed.lost:
        print(f"policyc: {governed.lost:,} lines are missing: the report was written too slowly", file=sys.stderr)
    if report.ending.how == INTERRUPTED:
        return 130
    return 0 if report.ending.clean else 1
