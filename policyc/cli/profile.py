"""``policyc profile BUNDLE NAME --control SOCKET``: other rules for a guest that runs."""

from __future__ import annotations

import os

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser, UsageError

SUMMARY = "switch a running guest to another profile, or to another bundle"

EPILOG = """\
# of a guest that was started with `policyc run ... --control vm.sock`
policyc profile vm.bundle hardened --control vm.sock
# back to the base policy
policyc profile vm.bundle --control vm.sock
# to what was compiled meanwhile
policyc compile vm.pol -o new.bundle && policyc profile new.bundle --control vm.sock
"""


def arguments(parser: Parser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="the bundle's folder, which the run verifies again")
    parser.add_argument("name", metavar="NAME", nargs="?", help="the profile; else the base policy")
    parser.add_argument("--control", metavar="SOCKET", help="where the run listens")
    policies.add_format(parser)


def run(args: Arguments) -> int:
    from policyc.reports.cells import safe
    from policyc.runtime.control import ask
    from policyc.vocabulary.diagnostic import UnreadableError

    if args.control is None:
        raise UsageError("--control is missing", "name the socket that `policyc run --control SOCKET` made")
    request = {"command": "switch", "bundle": os.path.abspath(args.bundle), "profile": args.name}
    answer = ask(args.control, request)
    if not answer.get("ok"):
        raise UnreadableError(f"nothing was changed: {answer.get('error', 'no reason given')}")
    if args.format == "json":
        from policyc.reports.jsonform import document

        print(document({name: answer.get(name) for name in ("profile", "verified_ms", "switched_ms", "exits")}), end="")
        return 0
    profile = "the base policy" if args.name is None else f"profile {args.name}"
    print(
        f"{safe(args.bundle)}: {profile} is in force; verified in {answer['verified_ms']} ms, "
        f"switched in {answer['switched_ms']} ms, after {answer['exits']:,} exits"
    )
    return 0
