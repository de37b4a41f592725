"""``policyc port QUERY...``: what an I/O port belongs to, and which bits decide about it."""

from __future__ import annotations

from policyc.cli import lookup
from policyc.cli.parser import Arguments, Parser

SUMMARY = "look up I/O ports by name, number, fragment or tag"

EPILOG = """\
# by number: what is 0x3fb?
policyc port 0x3fb
# by name
policyc port COM1
# by a word of what it does
policyc port keyboard
# every port that can reset the machine
policyc port reset
# with the names of your own devices
policyc port door --db site.yaml
"""


def arguments(parser: Parser) -> None:
    lookup.arguments(parser, "COM1, 0x3f8, keyboard, reset")


def run(args: Arguments) -> int:
    return lookup.run(args, "io")
