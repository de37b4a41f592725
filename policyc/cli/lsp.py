"""``policyc lsp``: the language server, on standard input and output."""

from __future__ import annotations

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser, UsageError

SUMMARY = "serve an editor: diagnostics, hover, completion, renaming"

EPILOG = """\
# what an editor is told to start; docs/lsp.md has the lines for VS Code, Neovim, Emacs and Helix
policyc lsp
# with names of your own hardware
policyc lsp --db site.yaml
"""


def arguments(parser: Parser) -> None:
    parser.add_argument("--stdio", action="store_true", help="what is done anyway: some editors say so")
    policies.add_database(parser)


def run(args: Arguments) -> int:
    """Until the editor says exit, or is gone: 0, or 1 if it says exit without shutdown. 141 where it reads no more."""
    try:
        import pygls as _pygls
    except ImportError:
        raise UsageError("the language server needs pygls", "pip install 'policyc[lsp]'") from None
    del _pygls
    from policyc.lsp.server import serve

    return serve(tuple(args.database))
