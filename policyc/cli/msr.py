"""``policyc msr QUERY...``: what an MSR is called, what it is, and which bits decide about it."""

from __future__ import annotations

from policyc.cli import lookup
from policyc.cli.parser import Arguments, Parser

SUMMARY = "look up MSRs by name, number, fragment or tag"

EPILOG = """\
# by number: what is 0x1d9?
policyc msr 0x1d9
# by name, in any of its spellings
policyc msr MSR_EFER
# one member of a row
policyc msr 'IA32_MTRR_PHYSBASE[3]'
# by a piece of its name, or a word of what it does
policyc msr sysenter
policyc msr 'launch enclaves'
# all with a tag
policyc msr host-critical
# with the names of your own hypervisor
policyc msr scratch --db site.yaml
"""


def arguments(parser: Parser) -> None:
    lookup.arguments(parser, "IA32_EFER, 0x10, sysenter, hot")


def run(args: Arguments) -> int:
    return lookup.run(args, "msr")
