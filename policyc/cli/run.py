"""``policyc run BUNDLE --guest IMAGE``: a guest under a bundle's policy, with a report of each exit."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from policyc.cli import policies
from policyc.cli.ending import as_ctrl_c_does
from policyc.cli.parser import Arguments, Parser, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policyc.bundle.read import Bundle
    from policyc.database.names import Database
    from policyc.runtime.auto import Auto
    from policyc.runtime.backend import Backend
    from policyc.runtime.guest import Start
    from policyc.runtime.lines import Lines
    from policyc.runtime.session import Session

SUMMARY = "run a guest on KVM, on emulated VT-x or SVM, or in a simulation, under a bundle's policy"

EPILOG = """\
# a flat 16-bit image; one line an exit, then a summary
policyc run vm.bundle --guest boot.bin
# a 64-bit executable, for a second at most, and the summary alone
policyc run vm.bundle --guest kernel.elf --timeout 1 --show summary
# for programs: one JSON object a line
policyc run vm.bundle --guest boot.bin --format json
# another profile from the guest's first write to EFER on
policyc run vm.bundle --guest boot.bin --auto "wrmsr IA32_EFER=hardened"
# let `policyc profile` change the rules meanwhile
policyc run vm.bundle --guest boot.bin --control vm.sock
# without /dev/kvm
policyc run vm.bundle --guest boot.bin --backend sim
"""

SHOW = ("auto", "exits", "live", "summary")
_MOST_VCPU = 4095


def arguments(parser: Parser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="the bundle's folder")
    parser.add_argument("--guest", metavar="IMAGE", help="what to run: a flat binary, or a static ELF executable")
    parser.add_argument("--bits", choices=("16", "32", "64"), help="of a flat binary; 16 if nothing is said")
    parser.add_argument(
        "--load", type=policies.number, metavar="ADDRESS", help="where a flat binary lies: 0x1000 (16), else 0x100000"
    )
    parser.add_argument("--memory", type=_megabytes, metavar="MIB", help="the guest's memory; 16 if nothing is said")
    parser.add_argument(
        "--backend",
        metavar="NAME",
        help="kvm, sim, bochs, qemu-svm or package.module:Class; else kvm where it opens, or sim",
    )
    parser.add_argument("--irqchip", action="store_true", help="kvm: let the kernel emulate PIC, APIC and PIT")
    parser.add_argument("--profile", metavar="NAME", help="the profile at the start; else the base policy")
    parser.add_argument("--vcpu", type=_vcpu, default=0, metavar="N", help="the number that the policy sees")
    parser.add_argument(
        "--auto", action="append", metavar="PATTERN=PROFILE", help="after the first such access: another profile"
    )
    parser.add_argument("--control", metavar="SOCKET", help="listen here for `policyc profile`")
    parser.add_argument("--max-exits", type=_count, metavar="N", help="stop after so many exits")
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="stop after this time")
    parser.add_argument("--show", choices=SHOW, default="auto", help="auto: live on a terminal, else exits")
    policies.add_database(parser)
    policies.add_format(parser)


def _megabytes(word: str) -> int:
    from policyc.runtime.guest import LEAST_MEMORY, MOST_MEMORY

    least, most = LEAST_MEMORY >> 20, MOST_MEMORY >> 20
    if not word.isascii() or not word.isdigit() or not least <= int(word) <= most:
        raise ValueError(f"whole MiB, {least}..{most}")
    return int(word) << 20


def _vcpu(word: str) -> int:
    number = policies.number(word)
    if not 0 <= number <= _MOST_VCPU:
        raise ValueError("vCPUs are numbered 0..4095")
    return number


def _count(word: str) -> int:
    number = policies.number(word)
    if number < 1:
        raise ValueError("at least 1")
    return number


def seconds(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise ValueError("seconds, such as 2 or 0.5")
    return number


@as_ctrl_c_does
def run(args: Arguments) -> int:
    from contextlib import closing, nullcontext

    from policyc import runtime
    from policyc.runtime.control import Server
    from policyc.runtime.endings import INTERRUPTED
    from policyc.runtime.guest import MEMORY, prepare, read_guest

    if args.guest is None:
        raise UsageError("--guest is missing", "name the image to run: policyc run BUNDLE --guest IMAGE")
    names = policies.database(args)
    bundle = runtime.load(args.bundle)
    guest = read_guest(args.guest, None if args.bits is None else int(args.bits), args.load)
    start = prepare(guest, args.memory or MEMORY)
    lines = _lines(args, names)
    autos = _autos(args, names)
    with closing(_backend(args, bundle, autos)) as backend:
        session = _session(args, backend, bundle, start, lines, autos)
        with nullcontext() if args.control is None else Server(args.control, session):
            report = session.run()
    lines.finished(report)
    if report.ending.how == INTERRUPTED:
        return 130
    return 0 if report.ending.clean else 1


def _autos(args: Arguments, names: Database) -> list[Auto]:
    from policyc.runtime.auto import read_auto

    try:
        return [read_auto(each, names) for each in args.auto]
    except ValueError as reason:
        raise UsageError(f"--auto cannot be `{args.auto[0]}`", str(reason)) from None


def _session(
    args: Arguments, backend: Backend, bundle: Bundle, start: Start, lines: Lines, autos: Sequence[Auto]
) -> Session:
    from policyc.runtime.devices import Devices
    from policyc.runtime.session import Session

    return Session(
        backend,
        start,
        bundle,
        profile=args.profile,
        vcpu=args.vcpu,
        observer=lines,
        watch=lines.exits,
        autos=autos,
        max_exits=args.max_exits,
        timeout=args.timeout,
        devices=getattr(backend, "world", Devices),
    )


def _backend(args: Arguments, bundle: Bundle, autos: Sequence[Auto]) -> Backend:
    """The backend asked for, or the best there is."""
    from policyc.runtime import backend
    from policyc.vocabulary.diagnostic import UnreadableError

    name = args.backend or backend.default()
    options: dict[str, object] = {"irqchip": True} if args.irqchip else {}
    if name in backend.EMULATED and args.control is not None:
        raise UsageError(f"the backend {name} has no --control", "the rules of its guests change by --auto alone")
    if name in backend.EMULATED:
        options |= {"bundle": bundle, "profile": args.profile, "vcpu": args.vcpu, "autos": autos}
    try:
        return backend.make(name, **options)
    except backend.Unavailable as reason:
        raise UnreadableError(f"the backend {name} is not available: {reason}; try --backend sim") from None
    except TypeError:
        raise UsageError(f"the backend {name} has no --irqchip", "only kvm has one") from None


def _lines(args: Arguments, names: Database) -> Lines:
    from policyc.runtime.lines import JsonLines, Lines
    from policyc.runtime.live import Live

    show = args.show
    if show == "auto":
        show = "live" if args.format == "text" and sys.stdout.isatty() and os.environ.get("TERM") != "dumb" else "exits"
    if args.format == "json":
        return JsonLines(sys.stdout, names, exits=show == "exits")
    return Live(sys.stdout, names) if show == "live" else Lines(sys.stdout, names, exits=show == "exits")
