"""docs/commands.md lists every command with its synopsis and options, as their parsers have them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policyc.cli import commands, frame

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([a-z-]+)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE))
COMMON = {"--color auto|always|never", "-h, --help"}


def listed(section: str) -> list[str]:
    """Options of a section: bullets that begin with one in backquotes."""
    return re.findall(r"^\* `(-[^`]*)`: \S", section, re.MULTILINE)


def test_the_commands_stand_in_the_order_of_help() -> None:
    assert [name for name in SECTIONS if name in commands.NAMES] == list(commands.NAMES)


@pytest.mark.parametrize("name", commands.NAMES)
def test_a_section_has_the_parser_s_synopsis_and_options(name: str) -> None:
    parser = frame.parser_of(name)
    section = SECTIONS.get(name, "")
    assert re.findall(r"^    (policyc .*)$", section, re.MULTILINE)[:1] == [parser.usage()]
    own = [each.shown() for each in parser.options if each.shown() not in COMMON]
    assert listed(section) == own, f"docs/commands.md: ## {name} lists other options than `policyc help {name}`"


def test_what_all_commands_have_is_listed_once() -> None:
    (common,) = re.findall(r"^## All commands\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE)
    assert set(listed(common)) == COMMON


@pytest.mark.parametrize("name", commands.NAMES)
def test_a_section_says_how_the_command_ends(name: str) -> None:
    assert re.search(r"^Exits with ", SECTIONS.get(name, ""), re.MULTILINE)
