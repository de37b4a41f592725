"""``policyc decompile IMAGE...``: a policy that compiles to the images again."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from policyc.cli import images, policies
from policyc.cli.parser import Arguments, Parser, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policyc.analyses.images import Exits
    from policyc.database.names import Database

SUMMARY = "make a readable policy from raw images, hex dumps or C arrays"

EPILOG = """\
# both bitmaps of VT-x
policyc decompile msr.bin io.bin -o theirs.pol
# 8192 bytes can be two things
policyc decompile bitmap.dat --as msrpm
# from a dump
xxd io.bin | policyc decompile - --as io
"""


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", help="images, or text that shows one; - reads standard input"
    )
    parser.add_argument("--as", dest="kind", choices=images.AS, help="what the image is, where its size does not say")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the policy here; - prints it, as without this")
    policies.add_database(parser)


def run(args: Arguments) -> int:
    from policyc.analyses.decompile import Contradiction, decompile
    from policyc.cli import output
    from policyc.syntax.files import watch
    from policyc.vocabulary.diagnostic import UnreadableError

    watch()
    names = policies.database(args)
    given = [images.load(word, args.kind) for word in args.images]
    kinds = [exits.image for exits, _ in given]
    twice = next((each for each in kinds if kinds.count(each) > 1), None)
    if twice is not None:
        raise UsageError(f"two of the images are a {twice}", "a policy has one; `policyc diff` compares two")
    said = ", ".join("standard input" if word == "-" else os.path.basename(word) for word in args.images)
    # The last bits of an IOPM belong to no port, and follow the default.
    closed = next((data[-1] == 0xFF for exits, data in given if exits.image == "iopm.bin"), None)
    try:
        text = decompile([exits for exits, _ in given], names, " ".join(said.split()), closed)
    except Contradiction as reason:
        raise UnreadableError(str(reason)) from None
    for kind, bytes_differ in _tried(text, given, names):
        if bytes_differ:
            sys.stderr.write(
                f"policyc: {kind}: {bytes_differ:,} bytes that decide nothing are not as policyc writes them\n"
            )
    output.write("-" if args.output is None else args.output, text)
    return 0


def _tried(text: str, images: Sequence[tuple[Exits, bytes]], names: Database) -> list[tuple[str, int]]:
    """Compile the text, and hold what it makes exit to the images; how many bytes differ all the same, by image."""
    from policyc import pipeline
    from policyc.analyses.bits import TARGETS
    from policyc.analyses.decompile import same
    from policyc.analyses.images import FILTER, read_image
    from policyc.semantics.decide import decide
    from policyc.semantics.policy import Variant
    from policyc.targets.registry import target
    from policyc.targets.traps import traps_of

    policy = pipeline.front("decompiled.pol", database=names, buffers={"decompiled.pol": text.encode()}).policy
    decisions = decide(policy, Variant())
    out = []
    for exits, data in images:
        made = target(TARGETS[exits.image]).images(traps_of(policy, decisions))
        (again,) = [each.data for each in made if each.name == exits.image]
        assert same([read_image(exits.image, again)], [exits]), f"{exits.image} does not come out of its own policy"
        differ = 0 if exits.image == FILTER else sum(a != b for a, b in zip(again, data, strict=False))
        out.append((exits.image, differ + abs(len(again) - len(data)) * (exits.image != FILTER)))
    return out
