"""``policyc compile POLICY``: validate a policy and write its bundle."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser

if TYPE_CHECKING:
    from policyc.pipeline import Compilation

SUMMARY = "validate a policy and write its bundle: images, exit handler, manifest"

EPILOG = """\
# writes the folder vm.bundle
policyc compile vm.pol
# elsewhere, and for AMD
policyc compile vm.pol -o build/amd --target svm
# one profile alone
policyc compile vm.pol --profile hardened
# from another program
generate-policy | policyc compile - -o vm.bundle --format json
"""


def arguments(parser: Parser) -> None:
    parser.add_argument("policy", metavar="POLICY", help="the policy; - reads standard input")
    parser.add_argument("-o", "--output", metavar="DIR", help="the bundle's folder; else POLICY's stem + .bundle, here")
    policies.add_compile_options(parser)
    policies.add_format(parser)


def run(args: Arguments) -> int:
    from time import perf_counter

    from policyc.cli import console
    from policyc.vocabulary.diagnostic import PolicyError

    start = perf_counter()
    try:
        compilation = policies.compiled(args, args.policy)
    except PolicyError as reason:
        console.refuse(reason, args, "nothing written")
        return 1
    place = args.output or _default_place(args.policy)
    from policyc.bundle.write import write_bundle

    write_bundle(place, compilation.files)
    seconds = perf_counter() - start
    if args.format == "json":
        from policyc.reports.jsonform import document

        print(document(_fields(compilation, place)), end="")
    else:
        console.tell(compilation.diagnostics, args)
        print("\n".join(_summary(compilation, place, seconds)))
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
    lines.append(f"  {policies.proven(compilation)}, all of it in {seconds:.2f} s")
    return lines
