"""Command lines are read as other programs read them, and mistakes name their remedy."""

from __future__ import annotations

import pytest

from policyc.cli.parser import Parser, UsageError


def number(word: str) -> int:
    try:
        return int(word, 0)
    except ValueError:
        raise ValueError("a number such as 0x10") from None


@pytest.fixture
def parser() -> Parser:
    made = Parser("cook")
    made.add_argument("dish", metavar="DISH")
    made.add_argument("guests", metavar="GUEST", nargs="*")
    made.add_argument("-o", "--output", metavar="DIR")
    made.add_argument("-q", "--quiet", action="store_true")
    made.add_argument("--heat", type=number, default=1)
    made.add_argument("--spice", choices=("salt", "pepper"), default="salt")
    made.add_argument("--add", action="append")
    return made


def test_options_stand_anywhere(parser: Parser) -> None:
    args = parser.parse(["--quiet", "soup", "-o", "out", "ann", "--add", "a", "bob", "--add=b", "--heat", "0x10"])
    assert (args.dish, args.guests, args.output, args.quiet) == ("soup", ["ann", "bob"], "out", True)
    assert (args.add, args.heat, args.spice) == (["a", "b"], 16, "salt")


def test_what_is_not_given_has_its_default(parser: Parser) -> None:
    args = parser.parse(["soup"])
    assert (args.guests, args.output, args.quiet, args.heat, args.add) == ([], None, False, 1, [])


def test_defaults_are_not_shared_between_calls(parser: Parser) -> None:
    parser.parse(["soup", "--add", "a"])
    assert parser.parse(["soup"]).add == []


@pytest.mark.parametrize("words", [["-oout", "soup"], ["--output=out", "soup"], ["soup", "-o", "out"]])
def test_spellings_of_a_value(parser: Parser, words: list[str]) -> None:
    assert parser.parse(words).output == "out"


def test_a_dash_is_a_word_and_two_dashes_end_the_options(parser: Parser) -> None:
    assert parser.parse(["-", "--", "--quiet", "-x"]).guests == ["--quiet", "-x"]


def test_a_value_may_begin_with_a_dash(parser: Parser) -> None:
    assert parser.parse(["soup", "--heat", "-5"]).heat == -5


@pytest.mark.parametrize(
    ("words", "message", "help"),
    [
        ([], "DISH is missing", "usage: policyc cook DISH [GUEST...] [OPTION...]"),
        (["x", "--outptu", "d"], "`policyc cook` has no option --outptu", "did you mean --output?"),
        (["x", "-z"], "`policyc cook` has no option -z", "`policyc help cook` lists the options"),
        (["x", "--output"], "--output needs a value", "write --output DIR"),
        (["x", "--output", "--quiet"], "--output needs a value", "write --output DIR"),
        (["x", "--quiet=1"], "--quiet takes no value", "write --quiet"),
        (["x", "--spice", "peper"], "--spice cannot be `peper`", "did you mean `pepper`?"),
        (["x", "--spice", "sand"], "--spice cannot be `sand`", "it takes one of salt, pepper"),
        (["x", "--heat", "hot"], "--heat cannot be `hot`", "a number such as 0x10"),
    ],
)
def test_mistakes(parser: Parser, words: list[str], message: str, help: str) -> None:
    with pytest.raises(UsageError) as caught:
        parser.parse(words)
    assert caught.value.message == message
    assert help in caught.value.help


def test_one_word_too_many() -> None:
    parser = Parser("x")
    parser.add_argument("one", nargs="?")
    assert parser.parse([]).one is None
    with pytest.raises(UsageError, match="`b` is one word too many"):
        parser.parse(["a", "b"])


def test_a_list_leaves_room_for_what_follows() -> None:
    parser = Parser("x")
    parser.add_argument("files", nargs="+")
    parser.add_argument("last")
    args = parser.parse(["a", "b", "c"])
    assert (args.files, args.last) == (["a", "b"], "c")


def test_the_rest_goes_to_another_program_unread() -> None:
    parser = Parser("exec")
    parser.add_argument("bundle")
    parser.add_argument("words", metavar="COMMAND", nargs="rest")
    args = parser.parse(["b", "--", "vmm", "--quiet", "--", "x"])
    assert (args.bundle, args.words) == ("b", ["vmm", "--quiet", "--", "x"])
    with pytest.raises(UsageError, match="COMMAND is missing"):
        parser.parse(["b"])
