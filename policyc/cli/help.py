"""``policyc help [COMMAND]``."""

from __future__ import annotations

from policyc.cli.parser import Argument, Arguments, Parser

SUMMARY = "explain a command, or list them all"

EPILOG = """\
# all commands
policyc help
# one of them; `policyc version --help` shows the same
policyc help version
"""

_LEFT = 26
"""Columns of the names in a list of arguments."""


def arguments(parser: Parser) -> None:
    parser.add_argument("topic", metavar="COMMAND", nargs="?", help="the command to explain")


def run(args: Arguments) -> int:
    from policyc.cli import commands
    from policyc.cli.parser import UsageError
    from policyc.vocabulary.near import nearest

    if args.topic is None:
        print(overview())
        return 0
    if args.topic not in commands.NAMES:
        close = nearest(args.topic, commands.NAMES, 1)
        hint = f"did you mean `policyc help {close[0]}`?" if close else "`policyc help` lists them"
        raise UsageError(f"there is no command `{args.topic}`", hint)
    print(page(args.topic))
    return 0


def overview() -> str:
    """All commands, by what one wants to do."""
    from policyc.cli import commands, frame

    lines = ["policyc: a declarative intercept policy, compiled into proven VT-x, SVM and KVM images", ""]
    lines.append("usage: policyc COMMAND [ARGUMENT...]")
    for title, names in commands.GROUPS:
        if names:
            lines += ["", f"{title}:"]
            lines += [f"  {name:<12}{frame.load(name).SUMMARY}" for name in names]
    lines += ["", "`policyc help COMMAND` explains one, with examples; `policyc --version` prints the version"]
    lines.append("exit codes: 0 clean, 1 findings, 2 usage or unreadable input, 3 a bug in policyc")
    return "\n".join(lines)


def page(command: str) -> str:
    """What one command does, what it takes, and examples."""
    from policyc.cli import frame

    module, parser = frame.load(command), frame.parser_of(command)
    lines = [f"usage: {parser.usage()}", "", module.SUMMARY]
    for title, group in (("arguments", parser.positional), ("options", parser.options)):
        if group:
            lines += ["", f"{title}:"]
            for each in group:
                lines += _listed(each)
    lines += ["", "examples:"]
    lines += [f"  {each}" for each in module.EPILOG.splitlines()]
    return "\n".join(lines)


def _listed(argument: Argument) -> list[str]:
    left = f"  {argument.shown()}"
    said = argument.help
    if argument.option and argument.takes_value and argument.default not in (None, []):
        said += f" (default: {argument.default})"
    if len(left) >= _LEFT:
        return [left, " " * _LEFT + said]
    return [f"{left:<{_LEFT}}{said}"]
