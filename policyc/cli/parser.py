"""A small reader of command lines: what argparse does, at a tenth of its start-up time and with friendlier mistakes.

``add_argument`` takes argparse's words for what policyc uses, so a command file looks as everywhere else. Options may
stand anywhere; ``--name=value`` and ``-oVALUE`` work; ``-`` is an ordinary word; ``--`` ends the options.
"""

from __future__ import annotations

TYPE_CHECKING = False  # Not from typing: importing it would cost `policyc --version` half of its time.
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


class UsageError(Exception):
    """A command line that cannot be understood (exit code 2). help: what to write instead; may be empty."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.help = help


class Arguments:
    """What was given: one attribute an argument, named as its ``dest``. ``command`` is the command's name."""

    def __init__(self, command: str) -> None:
        self.command = command

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


class Argument:
    """One option (its names begin with ``-``) or positional word.

    action: None stores the next word, ``store_true`` True, ``append`` collects. nargs, for positional ones: None one
    word, ``?`` at most one, ``*`` any number, ``+`` at least one, ``rest`` all words after ``--``.
    type: makes the value from the word; ValueError's words are shown to the user.
    """

    __slots__ = ("action", "choices", "default", "dest", "help", "metavar", "names", "nargs", "type")

    def __init__(
        self,
        names: tuple[str, ...],
        help: str,
        metavar: str | None,
        choices: Sequence[str] | None,
        default: Any,
        action: str | None,
        type: Callable[[str], Any] | None,
        nargs: str | None,
        dest: str | None,
    ) -> None:
        self.names = names
        self.help = help
        self.choices = None if choices is None else tuple(choices)
        self.action = action
        self.type = type
        self.nargs = nargs
        longest = max(names, key=len)
        self.dest = dest or longest.lstrip("-").replace("-", "_")
        self.metavar = metavar or ("|".join(self.choices) if self.choices else self.dest.upper())
        self.default: Any = default
        if default is None and action == "store_true":
            self.default = False
        elif default is None and (action == "append" or nargs in ("*", "+", "rest")):
            self.default = []

    @property
    def option(self) -> bool:
        return self.names[0].startswith("-")

    @property
    def takes_value(self) -> bool:
        return self.action != "store_true"

    def shown(self) -> str:
        """As help lists it: ``-o, --output DIR``, or ``POLICY``."""
        if not self.option:
            return self.metavar
        return ", ".join(self.names) + (f" {self.metavar}" if self.takes_value else "")

    def convert(self, word: str) -> Any:
        """The value of one word; UsageError if it is none."""
        what = self.names[-1] if self.option else self.metavar
        if self.choices is not None and word not in self.choices:
            from policyc.vocabulary.near import nearest

            close = nearest(word, self.choices, 1)
            listed = ", ".join(self.choices)
            hint = f"did you mean `{close[0]}`? it takes one of {listed}" if close else f"it takes one of {listed}"
            raise UsageError(f"{what} cannot be `{word}`", hint)
        if self.type is None:
            return word
        try:
            return self.type(word)
        except ValueError as reason:
            raise UsageError(f"{what} cannot be `{word}`", str(reason)) from None


class Parser:
    """The arguments of one command."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.arguments: list[Argument] = []

    def add_argument(
        self,
        *names: str,
        help: str = "",
        metavar: str | None = None,
        choices: Sequence[str] | None = None,
        default: Any = None,
        action: str | None = None,
        type: Callable[[str], Any] | None = None,
        nargs: str | None = None,
        dest: str | None = None,
    ) -> None:
        """One more argument; help lists them in this order. help: one line, no full stop."""
        self.arguments.append(Argument(names, help, metavar, choices, default, action, type, nargs, dest))

    @property
    def options(self) -> list[Argument]:
        return [each for each in self.arguments if each.option]

    @property
    def positional(self) -> list[Argument]:
        return [each for each in self.arguments if not each.option]

    def usage(self) -> str:
        """``policyc compile POLICY [OPTION...]``."""
        words = []
        for each in self.positional:
            form = {None: "{}", "?": "[{}]", "*": "[{}...]", "+": "{}...", "rest": "-- {}..."}[each.nargs]
            words.append(form.format(each.metavar))
        return " ".join(["policyc", self.command, *words, "[OPTION...]"])

    def parse(self, words: Sequence[str]) -> Arguments:
        """The arguments; UsageError tells what is missing, unknown or too much."""
        args = Arguments(self.command)
        for each in self.arguments:
            setattr(args, each.dest, list(each.default) if isinstance(each.default, list) else each.default)
        plain, rest = self._options(args, list(words))
        self._positional(args, plain, rest)
        return args

    def _options(self, args: Arguments, words: list[str]) -> tuple[list[str], list[str]]:
        """Set the options; the plain words before ``--``, and those after it."""
        plain: list[str] = []
        while words:
            word = words.pop(0)
            if word == "--":
                return plain, words
            if not word.startswith("-") or word == "-":
                plain.append(word)
                continue
            option, value = self._find(word)
            if not option.takes_value:
                if value is not None:
                    raise UsageError(f"{word.partition('=')[0]} takes no value", f"write {option.names[-1]}")
                setattr(args, option.dest, True)
                continue
            if value is None:
                if not words or self._known(words[0]):
                    raise UsageError(f"{word} needs a value", f"write {word} {option.metavar}")
                value = words.pop(0)
            if option.action == "append":
                getattr(args, option.dest).append(option.convert(value))
            else:
                setattr(args, option.dest, option.convert(value))
        return plain, []

    def _known(self, word: str) -> bool:
        return any(word.partition("=")[0] in each.names for each in self.options)

    def _find(self, word: str) -> tuple[Argument, str | None]:
        name, equals, value = word.partition("=")
        for each in self.options:
            if name in each.names:
                return each, value if equals else None
            if not word.startswith("--") and word[:2] in each.names and each.takes_value:
                return each, word[2:]
        from policyc.vocabulary.near import nearest

        names = [each for option in self.options for each in option.names]
        close = nearest(name, names, 1) if len(name) > 2 else []
        more = f"`policyc help {self.command}` lists the options"
        hint = f"did you mean {close[0]}? {more}" if close else more
        raise UsageError(f"`policyc {self.command}` has no option {name}", hint)

    def _positional(self, args: Arguments, plain: list[str], rest: list[str]) -> None:
        positional = self.positional
        if not any(each.nargs == "rest" for each in positional):
            plain, rest = plain + rest, []
        for index, each in enumerate(positional):
            later = sum(other.nargs in (None, "+") for other in positional[index + 1 :])
            if each.nargs == "rest":
                if not rest:
                    raise UsageError(f"{each.metavar} is missing", f"usage: {self.usage()}")
                setattr(args, each.dest, rest)
            elif each.nargs in ("*", "+"):
                take = max(len(plain) - later, 0)
                if each.nargs == "+" and not take:
                    raise UsageError(f"{each.metavar} is missing", f"usage: {self.usage()}")
                if take:
                    setattr(args, each.dest, [each.convert(word) for word in plain[:take]])
                plain = plain[take:]
            elif len(plain) > (later if each.nargs == "?" else 0):
                setattr(args, each.dest, each.convert(plain.pop(0)))
            elif each.nargs is None:
                raise UsageError(f"{each.metavar} is missing", f"usage: {self.usage()}")
        if plain:
            raise UsageError(f"`{plain[0]}` is one word too many", f"usage: {self.usage()}")
