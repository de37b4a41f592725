"""Options that choose among lint's rules, for the commands that run them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policyc.cli.parser import Parser

LEVELS = ("error", "warning", "info")
NEVER = "never"


def add_choice(parser: Parser) -> None:
    """``--select`` to ``--fail-on``."""
    parser.add_argument(
        "--select", type=patterns, metavar="RULES", help="only these: codes, names, beginnings (S4), ALL"
    )
    parser.add_argument("--extend-select", type=patterns, metavar="RULES", help="these as well")
    parser.add_argument("--ignore", type=patterns, metavar="RULES", help="all but these")
    parser.add_argument(
        "--threat", choices=("guest-untrusted", "monitor", "none"), help="whom to defend against; else guest-untrusted"
    )
    parser.add_argument("--platform", choices=("piix4", "q35", "custom"), help="the chipset, for its ACPI ports")
    parser.add_argument("--fail-on", choices=(*LEVELS, NEVER), help="exit with 1 from this severity on; else warning")


def patterns(word: str) -> tuple[str, ...]:
    """``S4,P301``: codes, names and beginnings of codes that lint knows."""
    from policyc.lint.settings import known

    names = tuple(each.strip() for each in word.split(",") if each.strip())
    unknown = [each for each in names if not known(each)]
    if unknown or not names:
        what = f"`{unknown[0]}` is no code, name or beginning of a code; " if unknown else ""
        raise ValueError(f"{what}`policyc rule` lists the rules")
    return names


def failing(level: str) -> tuple[str, ...]:
    """The severities that fail under ``--fail-on``."""
    return () if level == NEVER else LEVELS[: LEVELS.index(level) + 1]
