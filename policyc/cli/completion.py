"""``policyc completion bash|zsh|fish``: what a shell offers after the first letters, from the table of commands."""

from __future__ import annotations

from policyc.cli.parser import Argument, Arguments, Parser

SUMMARY = "print a script that completes commands and options"

EPILOG = """\
# for this session of bash
source <(policyc completion bash)
# for good
policyc completion bash > ~/.local/share/bash-completion/completions/policyc
policyc completion zsh > ~/.zfunc/_policyc
policyc completion fish > ~/.config/fish/completions/policyc.fish
"""

SHELLS = ("bash", "zsh", "fish")


def arguments(parser: Parser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")


def run(args: Arguments) -> int:
    from policyc.cli import commands, frame

    parsers = {name: frame.parser_of(name) for name in commands.NAMES}
    summaries = {name: str(frame.load(name).SUMMARY) for name in commands.NAMES}
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[args.shell](parsers, summaries)
    print(script, end="")
    return 0


def _words(argument: Argument) -> tuple[str, ...]:
    """What may stand for an argument, where only few words may."""
    if argument.choices is not None:
        return argument.choices
    if argument.dest == "topic":
        from policyc.cli import commands

        return commands.NAMES
    return ()


def _bash(parsers: dict[str, Parser], summaries: dict[str, str]) -> str:
    """summaries are not shown: bash has no place for them."""
    lines = [
        "# bash completion for policyc, made by `policyc completion bash`",
        "_policyc() {",
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}",
        "    local command='' options='' words='' files=1 at",
        "    for ((at = 1; at < COMP_CWORD; at++)); do",
        "        case ${COMP_WORDS[at]} in",
        "        --color) ((at++)) ;;",
        "        -*) ;;",
        "        *) command=${COMP_WORDS[at]}; break ;;",
        "        esac",
        "    done",
        "    case $command in",
        f"    '') words='{' '.join(parsers)}' options='--color --help --version' files='' ;;",
    ]
    for name, parser in parsers.items():
        lines += _bash_command(name, parser)
    lines += [
        "    esac",
        "    [[ $word == -* ]] && words=$options files=''",
        '    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word"; [[ $files ]] && compgen -f -- "$word")',
        "}",
        "complete -o filenames -F _policyc policyc",
    ]
    return "\n".join(lines) + "\n"


def _bash_command(name: str, parser: Parser) -> list[str]:
    options = " ".join(each for option in parser.options for each in option.names if each.startswith("--"))
    words = " ".join(word for each in parser.positional for word in _words(each))
    files = "1" if any(not _words(each) for each in parser.positional) else ""
    lines = [f"    {name})", f"        options='{options}' words='{words}' files='{files}'", "        case $before in"]
    for option in parser.options:
        if option.takes_value:
            values = " ".join(_words(option))
            free = "" if values else "1"
            lines.append(f"        {' | '.join(option.names)}) words='{values}' files='{free}' options='' ;;")
    return [*lines, "        esac", "        ;;"]


def _zsh(parsers: dict[str, Parser], summaries: dict[str, str]) -> str:
    lines = ["#compdef policyc", "# zsh completion for policyc, made by `policyc completion zsh`", ""]
    lines += ["_policyc() {", "    local line state", "    _arguments -C \\"]
    lines += [
        "        '--version[print the version]' \\",
        "        '1:command:->command' \\",
        "        '*::argument:->argument'",
    ]
    lines += ["    case $state in", "    command)", "        local -a commands=("]
    lines += [f"            {_quoted(f'{name}:{summaries[name]}')}" for name in parsers]
    lines += [
        "        )",
        "        _describe command commands",
        "        ;;",
        "    argument)",
        "        case $line[1] in",
    ]
    for name, parser in parsers.items():
        lines.append(f"        {name})")
        specs = [spec for option in parser.options for spec in _zsh_options(option)]
        specs += [_zsh_word(number, each) for number, each in enumerate(parser.positional, 1)]
        lines.append("            _arguments \\")
        lines.append(" \\\n".join(f"                {_quoted(spec)}" for spec in specs))
        lines.append("            ;;")
    lines += ["        esac", "        ;;", "    esac", "}", "", '_policyc "$@"', ""]
    return "\n".join(lines)


def _zsh_options(option: Argument) -> list[str]:
    said = option.help.replace("[", "(").replace("]", ")").replace(":", " -")
    value = ""
    if option.takes_value:
        words = _words(option)
        value = f":{option.metavar.replace(':', ' ')}:" + (f"({' '.join(words)})" if words else "_files")
    star = "*" if option.action == "append" else ""
    return [f"{star}{name}[{said}]{value}" for name in option.names]


def _zsh_word(number: int, argument: Argument) -> str:
    words = _words(argument)
    what = f"({' '.join(words)})" if words else "_files"
    place = "*" if argument.nargs in ("*", "+", "rest") else str(number)
    return f"{place}:{argument.metavar}:{what}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish(parsers: dict[str, Parser], summaries: dict[str, str]) -> str:
    lines = ["# fish completion for policyc, made by `policyc completion fish`"]
    lines.append("complete -c policyc -n __fish_use_subcommand -l version -d 'print the version'")
    for name in parsers:
        lines.append(f"complete -c policyc -n __fish_use_subcommand -f -a {name} -d {_fish_quoted(summaries[name])}")
    for name, parser in parsers.items():
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        for option in parser.options:
            flags = [f"-l {each[2:]}" if each.startswith("--") else f"-s {each[1:]}" for each in option.names]
            words = _words(option)
            value = (f" -x -a '{' '.join(words)}'" if words else " -r") if option.takes_value else ""
            lines.append(f"complete -c policyc {seen} {' '.join(flags)}{value} -d {_fish_quoted(option.help)}")
        for each in parser.positional:
            if _words(each):
                lines.append(f"complete -c policyc {seen} -f -a '{' '.join(_words(each))}'")
    return "\n".join(lines) + "\n"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
