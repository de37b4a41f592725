"""The one table of commands. A new command is one line here and one module beside this file.

The module has SUMMARY (one line, no full stop), EPILOG (examples, one a line, each beginning with ``policyc``; lines
that begin with ``#`` explain the next), ``arguments(parser)`` and ``run(args) -> int``. It imports at its top only what
is light: policyc.cli.parser, policyc.cli.console; everything else where ``run`` needs it.
"""

from __future__ import annotations

GROUPS = (
    ("write and check policies", ("compile", "check", "test", "lint", "fmt", "lsp")),
    ("ask", ("explain", "show", "diff", "report", "prove", "decompile", "audit", "textconv", "msr", "port", "rule")),
    ("try on processors", ("verify",)),
    ("run guests", ("run", "exec", "profile")),
    ("about policyc", ("completion", "help", "version")),
)
"""Titles in `policyc help`, and the commands below each, in the order of interest."""

NAMES = tuple(name for _, names in GROUPS for name in names)


def module_name(name: str) -> str:
    """The module of a command, so that tests and tools find it without importing it."""
    return f"policyc.cli.{name}"
