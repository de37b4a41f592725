"""From lark's reductions to the nodes of policyc.syntax.tree, while lark parses (no parse tree is kept).

Imported together with lark, only where a file needs the grammar.
"""

from __future__ import annotations

from typing import Any

from lark import Token, Transformer, v_args

from policyc.syntax import tree
from policyc.syntax.numbers import read_number
from policyc.syntax.words import KEYWORDS, reserved_word
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.span import Source, Span


@v_args(inline=True)
class TreeBuilder(Transformer[Token, Any]):
    """Builds one statement at a time. ``begin`` says where; ``problems`` collects what lark cannot see."""

    def begin(self, source: Source, offset: int, doc: tuple[str, ...], end: int) -> None:
        self.source = source
        self.offset = offset
        self.end = end
        self.doc = doc
        self.problems: list[Diagnostic] = []

    def span(self, token: Token) -> Span:
        return Span(self.source, self.offset + token.start_pos, self.offset + token.end_pos)  # type: ignore[operator]

    def whole(self) -> Span:
        return Span(self.source, self.offset, self.end)

    # numbers, names, expressions

    def number(self, token: Token) -> tree.Number:
        span = self.span(token)
        value, base, problem = read_number(str(token), span)
        if problem is not None:
            self.problems.append(problem)
        return tree.Number(value, base, span)

    def name(self, token: Token) -> tree.Name:
        made = self.any_name(token)
        if not made.quoted and made.text in KEYWORDS:
            self.problems.append(reserved_word(made))
        return made

    def any_name(self, token: Token) -> tree.Name:
        text = str(token)
        if text[0] == "`":
            return tree.Name(text[1:-1], self.span(token), True)
        return tree.Name(text, self.span(token))

    def member(self, module: tree.Name, name: tree.Name) -> tree.Member:
        return tree.Member(module, name, module.span.to(name.span))

    def element(self, name: tree.Name, lo: tree.Expr, hi: tree.Expr | None, end: Token) -> tree.Element:
        return tree.Element(name, lo, hi, name.span.to(self.span(end)))

    def unary(self, operator: Token, operand: tree.Expr) -> tree.Unary:
        return tree.Unary("~", operand, self.span(operator).to(operand.span))

    def group(self, left: Token, inner: tree.Expr, right: Token) -> tree.Expr:
        return inner._replace(span=self.span(left).to(self.span(right)))

    def operator(self, token: Token) -> str:
        return str(token)

    def binary(self, left: tree.Expr, operator: str, right: tree.Expr) -> tree.Binary:
        return tree.Binary(operator, left, right, left.span.to(right.span))

    # items

    def single(self, value: tree.Expr) -> tree.Single:
        return tree.Single(value, value.span)

    def range(self, lo: tree.Expr, hi: tree.Expr) -> tree.Range:
        return tree.Range(lo, hi, lo.span.to(hi.span))

    def length(self, base: tree.Expr, count: tree.Expr) -> tree.Length:
        return tree.Length(base, count, base.span.to(count.span))

    def items(self, *parts: Any) -> tree.Items:
        if isinstance(parts[0], Token):
            inside = tuple(part for part in parts[1:-1] if part is not None)
            return tree.Items(inside, True, self.span(parts[0]).to(self.span(parts[-1])))
        return tree.Items((parts[0],), False, parts[0].span)

    # words, conditions, actions

    def word(self, token: Token) -> tree.Word:
        return tree.Word(str(token), self.span(token))

    verb = space = access = verdict = operation = word

    def comparison(self, token: Token) -> str:
        return str(token)

    def condition(
        self, subject: Token, mask: tree.Expr | None, op: str, operand: tree.Expr
    ) -> tree.Condition:
        word = self.word(subject)
        return tree.Condition(word, mask, op, operand, word.span.to(operand.span))

    def cpl_condition(self, subject: Token, op: str, operand: tree.Expr) -> tree.Condition:
        word = self.word(subject)
        return tree.Condition(word, None, op, operand, word.span.to(operand.span))

    def conditions(self, *each: tree.Condition) -> tuple[tree.Condition, ...]:
        return each

    def widths(self, *each: tree.Expr) -> tuple[tree.Expr, ...]:
        return each

    def names(self, *each: tree.Name) -> tuple[tree.Name, ...]:
        return each

    def argument(self, name: tree.Name | None, value: tree.Expr) -> tree.Argument:
        return tree.Argument(name, value, value.span if name is None else name.span.to(value.span))

    def action(self, name: tree.Name, *rest: Any) -> tree.Action:
        arguments = tuple(each for each in rest if isinstance(each, tree.Argument))
        brackets = [each for each in rest if isinstance(each, Token)]
        span = name.span.to(self.span(brackets[-1])) if brackets else name.span
        return tree.Action(name, arguments, bool(brackets), span)

    def actions(self, *each: tree.Action) -> tuple[tree.Action, ...]:
        return each

    # statements

    def language(self, _word: Token, version: Token) -> tree.Language:
        return tree.Language(self.number(version), self.whole())

    def target(self, _word: Token, *names: tree.Name) -> tree.Target:
        return tree.Target(names, self.whole())

    def text(self, token: Token) -> tree.Text:
        value = str(token)[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        return tree.Text(value, self.span(token))

    def import_(self, _word: Token, path: Token, _as: Token | None, alias: tree.Name | None) -> tree.Import:
        return tree.Import(self.text(path), alias, self.whole())

    def let_set(
        self, _let: Token, space: tree.Word, name: tree.Name, items: tree.Items, excepts: tree.Items | None
    ) -> tree.LetSet:
        return tree.LetSet(space, name, items, excepts, self.doc, self.whole())

    def let_const(self, _let: Token, _const: Token, name: tree.Name, value: tree.Expr) -> tree.LetConst:
        return tree.LetConst(name, value, self.doc, self.whole())

    def default(
        self, _word: Token, space: tree.Word | None, verdict: tree.Word, actions: tuple[tree.Action, ...] | None
    ) -> tree.Default:
        return tree.Default(space, verdict, actions, self.whole())

    def rule(
        self,
        label: tree.Name | None,
        override: Token | None,
        verb: tree.Word,
        space: tree.Word,
        items: tree.Items,
        excepts: tree.Items | None,
        access: tree.Word | None,
        _width: Token | None,
        widths: tuple[tree.Expr, ...] | None,
        conditions: tuple[tree.Condition, ...] | None,
        _vcpu: Token | None,
        vcpus: tree.Items | None,
        actions: tuple[tree.Action, ...] | None,
    ) -> tree.Rule:
        over = None if override is None else self.word(override)
        return tree.Rule(
            verb, space, items, excepts, access, widths or (), conditions or (), vcpus, actions, over, label,
            self.doc, self.whole(),
        )  # fmt: skip

    def assert_intercepted(
        self,
        _assert: Token,
        negated: Token | None,
        _kind: Token,
        space: tree.Word,
        items: tree.Items,
        excepts: tree.Items | None,
        access: tree.Word | None,
        _width: Token | None,
        widths: tuple[tree.Expr, ...] | None,
        actions: tuple[tree.Action, ...] | None = None,
    ) -> tree.Assert:
        kind = "intercepted" if actions is None else "action"
        return tree.Assert(
            negated is not None, kind, space, items, excepts, access, widths or (), actions, self.doc, self.whole()
        )

    assert_action = assert_intercepted

    def never(
        self,
        _never: Token,
        _allow: Token,
        space: tree.Word,
        items: tree.Items,
        excepts: tree.Items | None,
        access: tree.Word | None,
    ) -> tree.Never:
        return tree.Never(space, items, excepts, access, self.doc, self.whole())

    def profile_head(self, _word: Token, name: tree.Name, parents: tuple[tree.Name, ...] | None) -> tree.Profile:
        return tree.Profile(name, parents or (), (), self.doc, self.whole())

    def test_head(self, _word: Token, name: Token) -> tree.Test:
        return tree.Test(self.text(name), (), self.doc, self.whole())

    def option(self, word: Token, value: Any) -> tuple[Token, Any]:
        return (word, value)

    def case(self, operation: tree.Word, address: tree.Expr, *rest: Any) -> tree.Case:
        *options, outcome = rest
        given: dict[str, Any] = {}
        for word, value in options:
            if str(word) in given:
                from policyc.syntax.words import repeated_option

                self.problems.append(repeated_option(self.word(word)))
            given[str(word)] = value
        return tree.Case(
            operation, address, given.get("width"), given.get("value"), given.get("cpl"), given.get("vcpu"),
            given.get("profile"), outcome, self.whole(),
        )  # fmt: skip
