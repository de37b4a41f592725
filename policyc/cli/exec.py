"""``policyc exec BUNDLE -- VMM...``: an unmodified VMM that uses KVM, under a bundle's policy."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

from policyc.cli import policies
from policyc.cli.ending import as_ctrl_c_does
from policyc.cli.parser import Arguments, Parser, UsageError
from policyc.cli.run import seconds

if TYPE_CHECKING:
    from policyc.database.names import Database
    from policyc.runtime.lines import Lines

SUMMARY = "run QEMU, or another program that uses KVM, under a bundle's policy"

EPILOG = """\
# SeaBIOS in an unmodified QEMU; the summary follows on standard error
policyc exec vm.bundle -- qemu-system-x86_64 -enable-kvm -cpu kvm64 -display none
# a line for each exit, into a file
policyc exec vm.bundle --show exits --report exits.txt -- qemu-system-x86_64 -enable-kvm
# another profile; for programs: one JSON object a line
policyc exec vm.bundle --profile hardened --format json -- qemu-system-x86_64 -enable-kvm
# another profile once the firmware has set up the MTRRs
policyc exec vm.bundle --auto "wrmsr IA32_MTRR_DEF_TYPE=hardened" -- qemu-system-x86_64 -enable-kvm
# let `policyc profile` change the policy meanwhile
policyc exec vm.bundle --control vm.sock -- qemu-system-x86_64 -enable-kvm
"""

SHOW = ("auto", "exits", "live", "summary")


def arguments(parser: Parser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="the bundle's folder")
    parser.add_argument("vmm", metavar="VMM", nargs="rest", help="the VMM's command line")
    parser.add_argument("--profile", metavar="NAME", help="the profile; else the base policy")
    parser.add_argument(
        "--auto", action="append", metavar="PATTERN=PROFILE", help="after the first such access: another profile"
    )
    parser.add_argument("--control", metavar="SOCKET", help="listen here for `policyc profile`")
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="end the VMM after this time")
    parser.add_argument(
        "--show",
        choices=SHOW,
        default="auto",
        help="auto: live where the report has a terminal to itself, else summary",
    )
    parser.add_argument("--report", metavar="FILE", help="write the report there; else to standard error")
    policies.add_database(parser)
    policies.add_format(parser)


@as_ctrl_c_does
def run(args: Arguments) -> int:
    from contextlib import ExitStack, closing, nullcontext

    from policyc import runtime
    from policyc.cli.output import spare
    from policyc.runtime.auto import read_auto
    from policyc.runtime.control import Server
    from policyc.runtime.endings import INTERRUPTED
    from policyc.runtime.governed import Governed
    from policyc.syntax.files import watch
    from policyc.vocabulary.diagnostic import UnreadableError

    watch()
    names = policies.database(args)
    try:
        autos = tuple(read_auto(each, names) for each in args.auto)
    except ValueError as reason:
        raise UsageError(f"--auto cannot be `{args.auto[0]}`", str(reason)) from None
    bundle = runtime.load(args.bundle)
    with ExitStack() as stack:
        stream = sys.stderr
        if args.report is not None:
            spare(args.report)
            try:
                stream = stack.enter_context(open(args.report, "w", encoding="utf-8"))
            except OSError as reason:
                raise UnreadableError(f"cannot write {args.report}: {reason.strerror}") from None
        lines = _lines(args, stream, names)
        control = args.control is not None
        made = Governed(bundle, args.profile, args.vmm, lines, autos=autos, control=control)
        governed = stack.enter_context(closing(made))
        with nullcontext() if args.control is None else Server(args.control, governed):
            report = governed.run(args.timeout)
        lines.finished(report)
        lost = governed.lost
    if lost:
        print(f"policyc: {lost:,} lines are missing: the report was written too slowly", file=sys.stderr)
    if report.ending.how == INTERRUPTED:
        return 130
    return 0 if report.ending.clean else 1


def _lines(args: Arguments, stream: TextIO, names: Database) -> Lines:
    from policyc.runtime.lines import JsonLines, Lines
    from policyc.runtime.live import Live

    if args.format == "json":
        return JsonLines(stream, names, exits=args.show == "exits")
    if args.show == "live" or (args.show == "auto" and _has_terminal(stream)):
        return Live(stream, names)
    return Lines(stream, names, exits=args.show == "exits")


def _has_terminal(stream: TextIO) -> bool:
    """Whether the report goes to a terminal on which the VMM does not write."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return False
    terminal = os.fstat(stream.fileno()).st_rdev
    return not sys.stdout.isatty() or os.fstat(sys.stdout.fileno()).st_rdev != terminal
