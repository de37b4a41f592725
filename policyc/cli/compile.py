"""``policyc compile POLICY``: validate a policy and write its bundle."""

from __future__ import annotations

import os

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser, UsageError
from policyc.vocabulary.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from policyc.pipeline import Compilation

SUMMARY = "validate a policy and write its bundle: images, exit handler, manifest"

EPILOG = """\
# writes the folder vm.bundle
policyc compile vm.pol
# elsewhere, and for AMD
policyc compile vm.pol -o amd.bundle --target svm
# one profile alone
policyc compile vm.pol --profile hardened
# from another program
generate-policy | policyc compile - -o vm.bundle --format json
# the resolved policy for other programs, and back
policyc compile vm.pol --emit ir > vm.json
policyc compile --from-ir vm.json
"""


EMIT = ("bundle", "ir")


def arguments(parser: Parser) -> None:
    parser.add_argument("policy", metavar="POLICY", help="the policy; - reads standard input")
    parser.add_argument("-o", "--output", metavar="DIR", help="the bundle's folder; else POLICY's stem + .bundle, here")
    parser.add_argument(
        "--emit", choices=EMIT, default="bundle", help="ir: print the resolved policy as JSON, and write nothing"
    )
    policies.add_compile_options(parser)
    policies.add_format(parser)


def run(args: Arguments) -> int:
    from time import perf_counter

    from policyc.cli import console
    from policyc.syntax.files import watch
    from policyc.vocabulary.diagnostic import PolicyError

    if args.emit == "ir":
        return _emit(args)
    watch()
    start = perf_counter()
    try:
        compilation = policies.compiled(args, args.policy)
    except PolicyError as reason:
        console.refuse(reason, args, "nothing written")
        return 1
    place = _default_place(args.policy) if args.output is None else args.output
    from policyc.bundle.write import write_bundle
    from policyc.cli.output import spare

    spare(place)
    write_bundle(place, compilation.files)
    seconds = perf_counter() - start
    if args.format == "json":
        from policyc.reports.jsonform import document

        print(document(_fields(compilation, place)), end="")
    else:
        console.tell(compilation.diagnostics, args)
        print("\n".join(_summary(compilation, place, seconds)))
    return 0


def _emit(args: Arguments) -> int:
    """Print the resolved policy. What contradicts itself in it is told by the compile that reads it."""
    from policyc.cli import console
    from policyc.ir.emit import emit

    for option in ("output", "target", "profile", "exhaustive"):
        if getattr(args, option):
            raise UsageError(f"--emit ir prints the policy, and takes no --{option}", "redirect the output: > vm.json")
    found = policies.front(args, args.policy, policies.database(args))
    if args.format == "text":
        console.tell(found.diagnostics, args)
    print(emit(found.policy), end="")
    return 0


def _default_place(path: str) -> str:
    """The bundle's folder in the current one: the policy's stem + ``.bundle``."""
    stem = "stdin" if path == "-" else os.path.splitext(os.path.basename(path))[0]
    return f"{stem}.bundle"


def _fields(compilation: Compilation, place: str) -> dict[str, Any]:
    from policyc.reports.jsonform import diagnostics

    return {
        "bundle": place,
        "targets": list(compilation.targets),
        "left_out": [each._asdict() for each in compilation.left_out],
        "files": [{"path": each.name, "size": len(each.data)} for each in compilation.files],
        "excess": _excess(compilation),
        "proof": {
            "accesses": compilation.proof.accesses,
            "compared": [each._asdict() for each in compilation.proof.compared],
        },
        "diagnostics": diagnostics(compilation.diagnostics),
    }


def _summary(compilation: Compilation, place: str, seconds: float) -> list[str]:
    from policyc.reports.cells import safe

    size = sum(len(each.data) for each in compilation.files)
    lines = [f"{safe(place)}: {len(compilation.files)} files, {size:,} bytes, for {', '.join(compilation.targets)}"]
    lines += [f"  left out: {each.target}, {safe(each.reason)} ({each.code})" for each in compilation.left_out]
    lines += _exits(compilation)
    lines.append(f"  {policies.proven(compilation)}, all of it in {seconds:.2f} s")
    return lines


def _exits(compilation: Compilation) -> list[str]:
    """What exits in the first variant, and what exits although the policy passes it on."""
    from policyc.analyses.summary import summarise
    from policyc.vocabulary.access import MSR_READ, MSR_WRITE

    summary = summarise(compilation.policy, next(iter(compilation.maps.values())))
    ports = len({(each.lo, each.hi) for each in summary.io if each.traps})
    profile = summary.variant.profile
    of = "the base policy" if profile is None else f"profile {profile}"
    if len(compilation.policy.vcpu_classes) > 1:
        of += ", on vCPUs that no rule names"
    lines = [
        f"  exits of {of}: {summary.trapped[MSR_READ]:,} MSRs read, {summary.trapped[MSR_WRITE]:,} written, "
        f"{_counted(_trapped_ports(compilation), 'port')} in {_counted(ports, 'range')}"
    ]
    excess = _excess(compilation)
    if excess is not None and excess["accesses"]:
        why = [
            f"{excess[key]:,} {words}"
            for key, words in (
                ("direction", "share their bit with the other direction"),
                ("width", "with another width"),
                ("past_last_port", "run past port 0xffff"),
            )
            if excess[key]
        ]
        lines.append(f"  {excess['accesses']:,} port accesses exit though the policy passes them on: {', '.join(why)}")
    return lines


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _trapped_ports(compilation: Compilation) -> int:
    from policyc.targets.traps import trapping, trapping_ports
    from policyc.vocabulary.intervals import size

    return size(trapping_ports(trapping(compilation.policy, next(iter(compilation.maps.values())))))


def _excess(compilation: Compilation) -> dict[str, int] | None:
    """Of the first variant; None where no target has an I/O bitmap."""
    from policyc.analyses.excess import excess
    from policyc.targets.registry import target

    if not any(target(name).io_bitmap for name in compilation.targets):
        return None
    found = excess(compilation.policy, next(iter(compilation.maps.values())))
    return {
        "accesses": found.total,
        "direction": found.direction,
        "width": found.width,
        "past_last_port": found.past_last_port,
    }
