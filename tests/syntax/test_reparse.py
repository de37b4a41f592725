"""An edited text gives what reading it anew gives: the same nodes at the same places, the same mistakes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from policyc.syntax import tree
from policyc.syntax.format import stripped
from policyc.syntax.parser import parse
from policyc.syntax.reader import decode
from policyc.syntax.reparse import EditedText, Part
from policyc.vocabulary.diagnostic import Diagnostic, PolicyError
from policyc.vocabulary.span import Span

PARTS = (
    "intercept msr 0x10 write", "allow io 0x60", "let msr A = { 0x1,", "0x2 }", "let io B = 0x70 len 2", "profile p {",
    "}", "{", 'test "t" {', "rdmsr 0x10 => exit", "## what it is", "# why", "\n", "\r\n", "\r", "\n\n", "\\\n", '"', "`",
    " ", ",", "x", "#", "language 1", 'import "a.pol"', "# policyc: ignore[S409] reason=\"r\"",
    "# policyc: ignore[?]", "a: intercept io 0x1 -> log, kill", "default exit", "deny msr 0x1g", "=> exit", "\ufeff",
    "<<<<<<< ours", "assert intercepted msr 0x10", "é", "\U0001f600",
)  # fmt: skip


def places(value: Any) -> Any:
    """Every span below a value, as lines and columns."""
    if isinstance(value, Span):
        return value.source.position(value.start), value.source.position(value.end), value.text
    if isinstance(value, tree.Word):
        return value.text, places(value.span)
    return tuple(map(places, value)) if isinstance(value, tuple) else value


def told(found: list[Diagnostic]) -> list[Any]:
    return [(each.code, each.message, places(each[3:])) for each in found]


def anew(text: str) -> tuple[Any, ...]:
    try:
        module, problems = parse(decode("x.pol", text.encode()))
    except PolicyError as reason:
        return ("refused", told(list(reason.diagnostics)))
    return stripped(module.statements), places(module.statements), told(problems)


def again(edited: EditedText, text: str) -> tuple[Any, ...]:
    try:
        module, problems = edited.read(text)
    except PolicyError as reason:
        return ("refused", told(list(reason.diagnostics)))
    return stripped(module.statements), places(module.statements), told(problems)


def typed(draw: random.Random, text: str) -> str:
    """The text after one edit: something is typed, deleted, doubled or pasted over."""
    start = draw.randrange(len(text) + 1)
    end = min(len(text), start + draw.choice((0, 0, 0, 1, 1, 3, 20)))
    new = draw.choice(("", draw.choice(PARTS), draw.choice(PARTS) + "\n", "\n" + draw.choice(PARTS) + "\n"))
    return text[:start] + new + text[end:]


@pytest.mark.parametrize("seed", range(30))
def test_after_any_edits_the_module_is_that_of_the_whole_text(seed: int) -> None:
    draw = random.Random(seed)
    text = "".join(draw.choice(PARTS) + draw.choice(("\n", "\n", "\r\n", " ")) for _ in range(draw.randrange(25)))
    edited = EditedText("x.pol")
    for _ in range(25):
        assert again(edited, text) == anew(text), f"{text!r}"
        text = typed(draw, text)


def test_what_did_not_change_is_the_same_node() -> None:
    lines = [
        "language 1",
        "## doc",
        "intercept msr 0x10",
        "profile p {",
        "    allow io 0x60",
        "}",
        "intercept msr 0x11",
    ]
    edited = EditedText("x.pol")
    before, _ = edited.read("\n".join(lines))
    lines.insert(1, "allow io 0x80")
    after, _ = edited.read("\n".join(lines))
    assert isinstance(before.statements[2], tree.Profile)
    assert isinstance(after.statements[3], tree.Profile)
    assert after.statements[2] is before.statements[1]
    assert after.statements[3].body[0] is before.statements[2].body[0]
    assert after.statements[4] is before.statements[3]
    assert after.statements[4].span.line == 8


def test_one_keystroke_reads_a_few_lines_whatever_the_length(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    create = Part.__init__

    def counted(self: Part, *args: Any) -> None:
        made.append(args)
        create(self, *args)

    text = "".join(f"intercept msr {number:#x} write\n" for number in range(2000))
    edited = EditedText("x.pol")
    edited.read(text)
    monkeypatch.setattr(Part, "__init__", counted)
    at = len(text) // 2
    edited.read(text[:at] + "0" + text[at:])
    assert len(made) < 8
