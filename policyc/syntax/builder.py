"""From the grammar's rules to the nodes of policyc.syntax.tree: one method a rule, called as each is recognised."""

from __future__ import annotations

from policyc.syntax import tree
from policyc.syntax.numbers import read_number
from policyc.syntax.words import KEYWORDS, repeated_option, reserved_word
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.span import Source, Span

Word = tree.Word


class TreeBuilder:
    """Builds one statement at a time. ``begin`` says where; ``problems`` collects what the grammar cannot see."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.doc: tuple[str, ...] = ()
        self.whole = Span(source, 0, 0)
        self.problems: list[Diagnostic] = []

    def begin(self, start: int, end: int, doc: tuple[str, ...]) -> None:
        """The next statement is characters start..end-1 and has these doc comment lines above it."""
        self.doc = doc
        self.whole = Span(self.source, start, end)

    # numbers, names, expressions

    def number(self, word: Word) -> tree.Number:
        span = word.span
        value, base, problem = read_number(word.text, span)
        if problem is not None:
            self.problems.append(problem)
        return tree.Number(value, base, span)

    def any_name(self, word: Word) -> tree.Name:
        if word.text[0] == "`":
            return tree.Name(word.text[1:-1], word.span, True)
        return tree.Name(word.text, word.span)

    argument_name = any_name

    def name(self, word: Word) -> tree.Name:
        made = self.any_name(word)
        if not made.quoted and made.text in KEYWORDS:
            self.problems.append(reserved_word(made))
        return made

    def text(self, word: Word) -> tree.Text:
        return tree.Text(word.text[1:-1].replace('\\"', '"').replace("\\\\", "\\"), word.span)

    def member(self, module: tree.Name, name: tree.Name) -> tree.Member:
        return tree.Member(module, name, module.span.to(name.span))

    def element(self, name: tree.Name, index: tree.Expr, end: Word) -> tree.Element:
        return tree.Element(name, index, None, name.span.to(end.span))

    def elements(self, name: tree.Name, lo: tree.Expr, hi: tree.Expr, end: Word) -> tree.Element:
        return tree.Element(name, lo, hi, name.span.to(end.span))

    def unary(self, operator: Word, operand: tree.Expr) -> tree.Unary:
        return tree.Unary(operator.text, operand, operator.span.to(operand.span))

    def group(self, left: Word, inner: tree.Expr, right: Word) -> tree.Expr:
        return inner._replace(span=left.span.to(right.span))

    def operator(self, word: Word) -> str:
        return word.text

    comparison = operator

    def binary(self, left: tree.Expr, operator: str, right: tree.Expr) -> tree.Binary:
        return tree.Binary(operator, left, right, left.span.to(right.span))

    # items

    def single(self, value: tree.Expr) -> tree.Single:
        return tree.Single(value, value.span)

    def range(self, lo: tree.Expr, hi: tree.Expr) -> tree.Range:
        return tree.Range(lo, hi, lo.span.to(hi.span))

    def length(self, base: tree.Expr, size: tree.Expr) -> tree.Length:
        return tree.Length(base, size, base.span.to(size.span))

    def lone_item(self, item: tree.Item) -> tree.Items:
        return tree.Items((item,), False, item.span)

    def items(self, left: Word, *rest: tree.Item | Word | None) -> tree.Items:
        right = rest[-1]
        assert isinstance(right, tree.Word)
        inside = tuple(each for each in rest[:-1] if each is not None and not isinstance(each, tree.Word))
        return tree.Items(inside, True, left.span.to(right.span))

    # clauses

    def vcpus(self, _word: Word | None, items: tree.Items | None) -> tree.Items | None:
        return items

    def widths(self, _word: Word | None, values: tuple[tree.Expr, ...] | None) -> tuple[tree.Expr, ...]:
        return values or ()

    def exprs(self, *each: tree.Expr) -> tuple[tree.Expr, ...]:
        return each

    def names(self, *each: tree.Name) -> tuple[tree.Name, ...]:
        return each

    def conditions(self, *each: tree.Condition) -> tuple[tree.Condition, ...]:
        return each

    def condition(self, subject: Word, mask: tree.Expr | None, op: str, operand: tree.Expr) -> tree.Condition:
        return tree.Condition(subject, mask, op, operand, subject.span.to(operand.span))

    def cpl_condition(self, subject: Word, op: str, operand: tree.Expr) -> tree.Condition:
        return tree.Condition(subject, None, op, operand, subject.span.to(operand.span))

    def bare_argument(self, value: tree.Expr) -> tree.Argument:
        return tree.Argument(None, value, value.span)

    def argument(self, name: tree.Name, value: tree.Expr) -> tree.Argument:
        return tree.Argument(name, value, name.span.to(value.span))

    def plain_action(self, name: tree.Name) -> tree.Action:
        return tree.Action(name, (), False, name.span)

    def action(self, name: tree.Name, *rest: tree.Argument | Word | None) -> tree.Action:
        right = rest[-1]
        assert isinstance(right, tree.Word)
        arguments = tuple(each for each in rest if isinstance(each, tree.Argument))
        return tree.Action(name, arguments, True, name.span.to(right.span))

    def actions(self, *each: tree.Action) -> tuple[tree.Action, ...]:
        return each

    # statements

    def language(self, _word: Word, version: Word) -> tree.Language:
        return tree.Language(self.number(version), self.whole)

    def target(self, _word: Word, names: tuple[tree.Name, ...]) -> tree.Target:
        return tree.Target(names, self.whole)

    def import_(self, _word: Word, path: tree.Text, alias: tree.Name | None) -> tree.Import:
        return tree.Import(path, alias, self.whole)

    def let_set(
        self, _word: Word, space: Word, name: tree.Name, items: tree.Items, excepts: tree.Items | None
    ) -> tree.LetSet:
        return tree.LetSet(space, name, items, excepts, self.doc, self.whole)

    def let_const(self, _word: Word, _const: Word, name: tree.Name, value: tree.Expr) -> tree.LetConst:
        return tree.LetConst(name, value, self.doc, self.whole)

    def default(
        self, _word: Word, space: Word | None, verdict: Word, actions: tuple[tree.Action, ...] | None
    ) -> tree.Default:
        return tree.Default(space, verdict, actions, self.whole)

    def rule(
        self,
        label: tree.Name | None,
        override: Word | None,
        verb: Word,
        space: Word,
        items: tree.Items,
        excepts: tree.Items | None,
        access: Word | None,
        widths: tuple[tree.Expr, ...],
        conditions: tuple[tree.Condition, ...] | None,
        vcpus: tree.Items | None,
        actions: tuple[tree.Action, ...] | None,
    ) -> tree.Rule:
        return tree.Rule(
            verb,
            space,
            items,
            excepts,
            access,
            widths,
            conditions or (),
            vcpus,
            actions,
            override,
            label,
            self.doc,
            self.whole,
        )

    def assertion(
        self,
        _word: Word,
        negated: Word | None,
        kind: Word,
        space: Word,
        items: tree.Items,
        excepts: tree.Items | None,
        access: Word | None,
        widths: tuple[tree.Expr, ...],
        actions: tuple[tree.Action, ...] | None = None,
    ) -> tree.Assert:
        return tree.Assert(
            negated is not None, kind.text, space, items, excepts, access, widths, actions, self.doc, self.whole
        )

    def never(
        self, _word: Word, _allow: Word, space: Word, items: tree.Items, excepts: tree.Items | None, access: Word | None
    ) -> tree.Never:
        return tree.Never(space, items, excepts, access, self.doc, self.whole)

    # blocks

    def profile_head(self, _word: Word, name: tree.Name, parents: tuple[tree.Name, ...] | None) -> tree.Profile:
        return tree.Profile(name, parents or (), (), self.doc, self.whole)

    def test_head(self, _word: Word, name: tree.Text) -> tree.Test:
        return tree.Test(name, (), self.doc, self.whole)

    def option(self, word: Word, value: tree.Expr | tree.Name) -> tuple[Word, tree.Expr | tree.Name]:
        return word, value

    def options(self, *each: tuple[Word, tree.Expr | tree.Name]) -> dict[str, tree.Expr | tree.Name]:
        given: dict[str, tree.Expr | tree.Name] = {}
        for word, value in each:
            if word.text in given:
                self.problems.append(repeated_option(word))
            given[word.text] = value
        return given

    def case(
        self,
        operation: Word,
        address: tree.Expr,
        given: dict[str, tree.Expr | tree.Name],
        outcome: tuple[tree.Action, ...],
    ) -> tree.Case:
        profile = given.get("profile")
        return tree.Case(
            operation, address, given.get("width"), given.get("value"), given.get("cpl"), given.get("vcpu"),
            profile if isinstance(profile, tree.Name) else None, outcome, self.whole,
        )  # fmt: skip
