"""Files become trees; mistakes cost one statement and one report each; hostile bytes cost nothing but a report."""

from __future__ import annotations

import pytest

from policyc.syntax import tree
from policyc.syntax.parser import parse
from policyc.syntax.reader import decode
from policyc.vocabulary.diagnostic import Diagnostic, PolicyError
from tests.growth import seconds


def read(text: str | bytes) -> tuple[tree.Module, list[Diagnostic]]:
    return parse(decode("x.pol", text if isinstance(text, bytes) else text.encode()))


def refused(data: bytes) -> list[str]:
    """Codes of what the reader or the parser says."""
    try:
        return [each.code for each in read(data)[1]]
    except PolicyError as reason:
        return [each.code for each in reason.diagnostics]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_ends_a_statement(end: str) -> None:
    module, problems = read(end.join(["intercept msr 0x10", "", "intercept io 0x60  # keyboard"]))
    assert problems == []
    assert [type(each) for each in module.statements] == [tree.Rule, tree.Rule]


def test_a_set_goes_on_over_lines_and_holds_comments() -> None:
    module, problems = read("intercept msr { 0x10,  # time\n   0x11,\n\n   # last\n   0x12 }\nallow io 0x80")
    assert problems == []
    rule = module.statements[0]
    assert isinstance(rule, tree.Rule)
    assert len(rule.items.items) == 3
    assert len(module.comments) == 2


def test_a_backslash_continues_a_line() -> None:
    module, problems = read("intercept io 0x64 out \\\n  when value == 0xfe -> kill\n")
    assert problems == []
    assert len(module.statements) == 1


def test_doc_comments_belong_to_the_statement_below() -> None:
    module, _ = read("## File.\n\n## First.\n## Second.\nintercept msr 0x10\nintercept msr 0x11\n")
    first, second = module.statements
    assert isinstance(first, tree.Rule)
    assert isinstance(second, tree.Rule)
    assert (first.doc, second.doc) == (("First.", "Second."), ())


def test_blocks_hold_their_statements() -> None:
    module, problems = read('profile a {\n allow msr 0x10\n}\ntest "t" {\n rdmsr 0x10 => passthrough\n}\n')
    assert problems == []
    profile, test = module.statements
    assert isinstance(profile, tree.Profile)
    assert isinstance(test, tree.Test)
    assert (len(profile.body), len(test.cases)) == (1, 1)


def test_a_waiver_covers_its_line_or_the_next_statement() -> None:
    text = 'intercept msr 0x10   # policyc: ignore[P302] reason="measured"\n# policyc: ignore[S409]\nallow io 0xcf9\n'
    module, problems = read(text)
    assert problems == []
    assert [(each.codes[0].text, each.covers) for each in module.waivers] == [("P302", (1, 1)), ("S409", (3, 3))]


def test_each_mistake_costs_one_statement() -> None:
    module, problems = read(
        "frobnicate io 0x10\nintercept msr 0x10\nintercept mrs 0x10\nintercept io 0xzz\nallow io 1\n"
    )
    assert [each.primary.span.line for each in problems if each.primary] == [1, 3, 4]
    assert len(module.statements) == 2


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"intercept msr 0x10\0\n", "E002"),
        (b"intercept msr \xff\n", "E002"),
        ("intercept msr 0x10\n".encode("utf-16"), "E002"),
        ("intercept msr 0x10\n".encode("utf-16-le"), "E002"),
        (bytes(4096), "E002"),
        (b"\xff" * 8192, "E002"),
        (b"# \x1b[2J\n", "E006"),
        ("# \u202e\n".encode(), "E006"),
        (b"<<<<<<< ours\nallow io 1\n=======\nallow io 2\n>>>>>>> theirs\n", "E005"),
        ("intercept msr \uff11\uff10\n".encode(), "E001"),
        (b"intercept msr " + b"9" * 100_000 + b"\n", "E012"),
        (b"intercept msr " + b"{" * 5000 + b"\n", "E004"),
        (b"intercept io " + b"(" * 5000 + b"1" + b")" * 5000 + b"\n", None),
        (b"intercept msr {" + b"1, " * 4_000_000 + b"}\n", "E004"),
        (b"x" * 10_000_000, "E004"),
        (b"x y\n" * 1_000_000, "E001"),
        (b"}\n" * 100_000, "E001"),
        (b"profile a {\n" * 5000, "E001"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else "",
)
def test_hostile_bytes_are_refused_quickly(data: bytes, code: str | None) -> None:
    codes = refused(data)
    assert len(codes) <= 102
    assert code is None or set(codes) >= {code}
    assert seconds(lambda: refused(data), 2) < 2


def test_a_byte_order_mark_is_welcome() -> None:
    module, problems = read(b"\xef\xbb\xbfintercept msr 0x10\n")
    assert (len(module.statements), problems) == (1, [])
