"""The syntax tree: what was written, where, nothing resolved. Every node carries its span.

Literal spellings are kept (``Number.text``), so that a formatter or a fix can print them back.
"""

# Annotations are evaluated here: as text, typing would compile each field's, half of this file's import time.

from policyc.vocabulary.span import Source, Span
from policyc.vocabulary.typed import NamedTuple


class Number(NamedTuple):
    """value: 0..2^64-1. base: 2, 10 or 16 as written."""

    value: int
    base: int
    span: Span


class Name(NamedTuple):
    """text: without backquotes. quoted: it stood in backquotes."""

    text: str
    span: Span
    quoted: bool = False


class Member(NamedTuple):
    """``module.name``."""

    module: Name
    name: Name
    span: Span


class Element(NamedTuple):
    """``NAME[lo]`` (hi is None) or ``NAME[lo..hi]``: members of a database family."""

    name: Name
    lo: "Expr"
    hi: "Expr | None"
    span: Span


class Unary(NamedTuple):
    """op: ``~``."""

    op: str
    operand: "Expr"
    span: Span


class Binary(NamedTuple):
    """op: ``|``, ``&``, ``+`` or ``<<``; all bind alike, to the left."""

    op: str
    left: "Expr"
    right: "Expr"
    span: Span


Expr = Number | Name | Member | Element | Unary | Binary


class Single(NamedTuple):
    """One address, or the name of a set or database entry."""

    value: Expr
    span: Span


class Range(NamedTuple):
    """``lo..hi``, both ends included."""

    lo: Expr
    hi: Expr
    span: Span


class Length(NamedTuple):
    """``base len size``."""

    base: Expr
    size: Expr
    span: Span


Item = Single | Range | Length


class Items(NamedTuple):
    """One item, or a set in braces."""

    items: tuple[Item, ...]
    braced: bool
    span: Span


class Word(NamedTuple):
    """A token: a keyword whose place matters to a message, such as a verb or an access word. start: of its text."""

    text: str
    source: Source
    start: int

    @property
    def span(self) -> Span:
        """Made when it is asked for: a large policy has many words, and messages about few of them."""
        return Span(self.source, self.start, self.start + len(self.text))


class Argument(NamedTuple):
    """``value`` or ``name=value`` in an action's parentheses."""

    name: Name | None
    value: Expr
    span: Span


class Action(NamedTuple):
    """parenthesised: brackets were written, even if empty."""

    name: Name
    arguments: tuple[Argument, ...]
    parenthesised: bool
    span: Span


class Condition(NamedTuple):
    """``value [& mask] op operand`` or ``cpl op operand``. op: ``== != < <= > >=``."""

    subject: Word
    mask: Expr | None
    op: str
    operand: Expr
    span: Span


class Rule(NamedTuple):
    """verb: intercept, allow or deny. space: msr or io. access, vcpus, actions: None where not written."""

    verb: Word
    space: Word
    items: Items
    excepts: Items | None
    access: Word | None
    widths: tuple[Expr, ...]
    conditions: tuple[Condition, ...]
    vcpus: Items | None
    actions: tuple[Action, ...] | None
    override: Word | None
    label: Name | None
    doc: tuple[str, ...]
    span: Span


class Language(NamedTuple):
    version: Number
    span: Span


class Target(NamedTuple):
    names: tuple[Name, ...]
    span: Span


class Text(NamedTuple):
    """A quoted string; value has its escapes (``\\"`` and ``\\\\``) undone."""

    value: str
    span: Span


class Import(NamedTuple):
    path: Text
    alias: Name | None
    span: Span


class LetSet(NamedTuple):
    space: Word
    name: Name
    items: Items
    excepts: Items | None
    doc: tuple[str, ...]
    span: Span


class LetConst(NamedTuple):
    name: Name
    value: Expr
    doc: tuple[str, ...]
    span: Span


class Default(NamedTuple):
    """``default [msr|io] passthrough|exit [-> actions]``, or ``default msr outside -> actions`` (verdict None)."""

    space: Word | None
    verdict: Word | None
    actions: tuple[Action, ...] | None
    span: Span


class Assert(NamedTuple):
    """kind: ``intercepted`` (actions None) or ``action``."""

    negated: bool
    kind: str
    space: Word
    items: Items
    excepts: Items | None
    access: Word | None
    widths: tuple[Expr, ...]
    actions: tuple[Action, ...] | None
    doc: tuple[str, ...]
    span: Span


class Never(NamedTuple):
    space: Word
    items: Items
    excepts: Items | None
    access: Word | None
    doc: tuple[str, ...]
    span: Span


class Profile(NamedTuple):
    name: Name
    parents: tuple[Name, ...]
    body: tuple[Rule | Default | Assert | Never, ...]
    doc: tuple[str, ...]
    span: Span


class Case(NamedTuple):
    """One line of a test block. op: rdmsr, wrmsr, in or out. outcome: action list after ``=>``."""

    op: Word
    address: Expr
    width: Expr | None
    value: Expr | None
    cpl: Expr | None
    vcpu: Expr | None
    profile: Name | None
    outcome: tuple[Action, ...]
    span: Span


class Test(NamedTuple):
    name: Text
    cases: tuple[Case, ...]
    doc: tuple[str, ...]
    span: Span


Statement = Language | Target | Import | LetSet | LetConst | Default | Rule | Profile | Assert | Never | Test


class Comment(NamedTuple):
    """text: from its ``#`` on. own_line: nothing but white space stands before it."""

    text: str
    own_line: bool
    span: Span


class Waiver(NamedTuple):
    """``# policyc: ignore[CODES] reason="..." until=DATE by=@who``. covers: first and last line, None = all."""

    codes: tuple[Name, ...]
    reason: str | None
    until: str | None
    by: str | None
    covers: tuple[int, int] | None
    span: Span


class Module(NamedTuple):
    """One file. statements in source order; comments as written, for the formatter; waivers picked out of them."""

    source: Source
    statements: tuple[Statement, ...]
    comments: tuple[Comment, ...]
    waivers: tuple[Waiver, ...]
