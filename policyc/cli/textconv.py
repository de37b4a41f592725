"""``policyc textconv FILE``: what git shows of an image instead of "binary files differ"."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from policyc.cli import policies

if TYPE_CHECKING:
    from policyc.analyses.images import Exits
    from policyc.cli.parser import Arguments, Parser

SUMMARY = "show an image as text, for git diff and git log"

EPILOG = """\
# once, in a repository with images: git diff shows them as policies
git config diff.policyc.textconv "policyc textconv"
echo '*.bin diff=policyc' >> .gitattributes
# what git will show
policyc textconv msr.bin
"""

_LARGEST = 1 << 24
"""Bytes of a file that may be an image."""


def arguments(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="an image, or anything else: then its size and digest are shown")
    policies.add_database(parser)


def run(args: Arguments) -> int:
    """Never fails for what a file holds: git would show nothing at all then, of no file."""
    from policyc.analyses.decompile import decompile
    from policyc.syntax.files import read_file

    data = read_file(args.file, _LARGEST)
    exits = _exits(args.file, data)
    if exits is None:
        from hashlib import sha256

        print(f"{len(data):,} bytes, SHA-256 {sha256(data).hexdigest()}")
        return 0
    # The last bits of an IOPM belong to no port, and follow the default.
    closed = data[-1] == 0xFF if exits.image == "iopm.bin" else None
    sys.stdout.write(decompile([exits], policies.database(args), exits.image, closed))
    return 0


def _exits(path: str, data: bytes) -> Exits | None:
    """What exits under the image; of 8192 bytes whose name does not say what they are, a pair of I/O bitmaps."""
    from policyc.analyses.images import kinds_of, read_image

    kinds = kinds_of(data)
    for kind in sorted(kinds, key=lambda each: not path.endswith(each)):
        try:
            return read_image(kind, data)
        except ValueError:
            return None
    return None
