"""What all commands share: finding the command, exit codes, and the ends of a process that are nobody's fault.

Exit codes: 0 done and clean; 1 findings, a failing test, a difference, a policy that does not compile; 2 usage or
unreadable input (or output that cannot be written); 3 a bug in policyc. 130 after Ctrl-C, 141 where the reader of the
output went away, as shells show it of other programs.
"""

from __future__ import annotations

import errno
import os
import sys
from io import TextIOBase

from policyc import __version__
from policyc.cli import commands
from policyc.cli.parser import Parser, UsageError

TYPE_CHECKING = False  # See policyc.cli.parser.
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import NoReturn

    from policyc.cli.parser import Arguments

CLEAN, FINDINGS, USAGE, BUG, INTERRUPTED, READER_GONE = 0, 1, 2, 3, 130, 141

COLOUR = ("auto", "always", "never")


class ClosedOutput(TextIOBase):
    """Stands for a standard output that was closed before the start: Python would let `print` do nothing."""

    def write(self, text: str) -> NoReturn:
        raise OSError(errno.EBADF, "standard output is closed")


def prepare_streams() -> None:
    """Make the process' streams fit for any file name, and honest where they are closed."""
    if sys.stdout is None:
        sys.stdout = ClosedOutput()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it lives as long as the process
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # A name that is not text, or a locale without `é`: escape it.
            stream.reconfigure(errors="backslashreplace")


def run(words: Sequence[str]) -> int:
    """Run one command line (without the program's name); the exit code. Every exception ends here."""
    args = None
    try:
        command, rest = _command(words)
        if command is None:
            status = _bare(rest)
        else:
            parser = parser_of(command)
            if wants_help(parser, rest):
                command, rest = "help", [command]
                parser = parser_of(command)
            args = parser.parse(rest)
            status = int(load(command).run(args))
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return READER_GONE
    except Exception as reason:
        return _failed(reason, args)


def load(command: str) -> ModuleType:
    """The module of a command in the table."""
    from importlib import import_module

    return import_module(commands.module_name(command))


def parser_of(command: str) -> Parser:
    """The parser of a command, with the options that all commands have."""
    parser = Parser(command)
    load(command).arguments(parser)
    parser.add_argument("--color", choices=COLOUR, default="auto", help="colour the output; auto: on a terminal only")
    parser.add_argument("-h", "--help", action="store_true", help="show this help")
    return parser


def wants_help(parser: Parser, words: Sequence[str]) -> bool:
    """Whether ``--help`` is among the options, whatever else is wrong with the words."""
    before = words[: words.index("--")] if "--" in words else words
    return "--help" in before or "-h" in before


def _command(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The command and its words. Options that may also stand before the command are moved behind it."""
    moved: list[str] = []
    left = list(words)
    while left and left[0].startswith("-"):
        word = left.pop(0)
        if word == "--color" and left:
            moved += [word, left.pop(0)]
        elif word.startswith("--color="):
            moved.append(word)
        elif word in ("-V", "--version", "-h", "--help"):
            return None, [word, *left]
        else:
            raise UsageError(f"policyc has no option {word}", "an option stands behind its command: policyc help")
    if not left:
        return None, []
    name = left.pop(0)
    if name not in commands.NAMES:
        _unknown(name)
    return name, [*moved, *left]


def _unknown(name: str) -> NoReturn:
    from policyc.vocabulary.near import nearest

    close = nearest(name, commands.NAMES, 1)
    if close:
        raise UsageError(f"there is no command `{name}`", f"did you mean `policyc {close[0]}`?")
    if os.path.exists(name):
        raise UsageError(f"there is no command `{name}`", f"to check a file: policyc check {name}")
    raise UsageError(f"there is no command `{name}`", "`policyc help` lists them")


def _bare(words: list[str]) -> int:
    """``policyc`` without a command: the version, or the list of commands."""
    if words and words[0] in ("-V", "--version"):
        print(f"policyc {__version__}")
        return CLEAN
    from policyc.cli import help as pages

    if words:
        print(pages.overview())
        return CLEAN
    sys.stderr.write(pages.overview() + "\n")
    return USAGE


def _drop_output() -> None:
    """Let the interpreter's own last flush go nowhere instead of failing again."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        return


def _failed(reason: Exception, args: Arguments | None) -> int:
    """Tell what went wrong; the exit code."""
    if isinstance(reason, UsageError):
        return complain(reason.message, reason.help)
    if isinstance(reason, OSError):
        return _system(reason)
    if isinstance(reason, MemoryError):
        return complain("not enough memory")
    from policyc.vocabulary.diagnostic import PolicyError, UnreadableError

    if isinstance(reason, UnreadableError):
        return complain(str(reason))
    if isinstance(reason, PolicyError):
        from policyc.cli import console

        console.refuse(reason, args)
        return FINDINGS
    return _bug(reason)


def complain(message: str, help: str = "") -> int:
    """``policyc: ...`` on standard error; exit code 2."""
    from policyc.reports.cells import sentence

    sys.stderr.write(f"policyc: {sentence(message)}\n")
    if help:
        sys.stderr.write(f"  help: {sentence(help)}\n")
    return USAGE


def _system(reason: OSError) -> int:
    said = reason.strerror or str(reason)
    if reason.filename is not None:
        return complain(f"{os.fsdecode(reason.filename)}: {said}")
    _drop_output()
    return complain(f"the output cannot be written: {said}")


def _bug(reason: Exception) -> int:
    """Also for a ProofError: whatever differs there, the policy's author cannot mend it."""
    if os.environ.get("POLICYC_DEBUG", "") not in ("", "0"):
        import traceback

        traceback.print_exc()
    from policyc.reports.cells import safe

    sys.stderr.write(f"policyc: this is a bug in policyc {__version__}: {type(reason).__name__}: {safe(str(reason))}\n")
    sys.stderr.write(f"  at {_place(reason)}\n")
    sys.stderr.write("  nothing is wrong with your command; please report it, with what POLICYC_DEBUG=1 prints\n")
    return BUG


def _place(reason: Exception) -> str:
    """The innermost line of policyc that the exception went through."""
    trace = reason.__traceback__
    place = "an unknown place"
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename.startswith(root):
            where = "policyc" + code.co_filename[len(root) :]
            place = f"{where}:{trace.tb_lineno} in {code.co_name}"
        trace = trace.tb_next
    return place
