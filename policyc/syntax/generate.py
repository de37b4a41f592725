"""Makes ``_tables.py`` from grammars/policy.lark: lark builds the LALR(1) tables once, here, and never at run time.

``python -m policyc.syntax.generate`` rewrites the file; tests/syntax/test_grammar.py fails when it is not what the
grammar gives. Importing lark and building the tables costs some 200 ms; loading the finished ones costs 1 ms.
"""

from __future__ import annotations

import os
import re
from typing import Any

from policyc import resources
from policyc.vocabulary.digest import sha256

STARTS = ("statement", "profile_head", "test_head", "case")
_KEYWORD = re.compile(r"([a-z]+)\\b\Z")


def build() -> Any:
    """The lark parser of the grammar; lark.GrammarError where the grammar is not LALR(1) without conflicts."""
    from lark import Lark

    text = resources.read("grammars", "policy.lark")
    return Lark(text, parser="lalr", start=list(STARTS), strict=True, maybe_placeholders=True)


def tables() -> str:
    """The text of ``_tables.py``."""
    from lark.parsers.lalr_analysis import Shift

    lark = build()
    spelt, keywords, patterns = _terminals(lark)
    table = lark.parser.parser._parse_table
    rules = sorted(lark.rules, key=lambda rule: (rule.origin.name, rule.order, str(rule)))
    numbers = {rule: number for number, rule in enumerate(rules)}
    order = _order(table)
    rows = []
    for state in order:
        row = {}
        for symbol, (kind, to) in table.states[state].items():
            row[spelt.get(symbol, f"<{symbol}>")] = order[to] if kind is Shift else ~numbers[to]
        rows.append(dict(sorted(row.items())))
    lines = [
        '"""Made by policyc.syntax.generate from grammars/policy.lark. Do not edit: change the grammar, rerun."""',
        "",
        "# fmt: off",
        "# ruff: noqa",
        "",
        f"GRAMMAR = {sha256(resources.read('grammars', 'policy.lark').encode()).hexdigest()!r}",
        '"""SHA-256 of the grammar."""',
        f"TOKEN = {_token_pattern(patterns)!r}",
        f"KEYWORDS = frozenset({sorted(keywords)!r})",
        f"START = {{{', '.join(f'{name!r}: {order[table.start_states[name]]}' for name in STARTS)}}}",
        f"END = {{{', '.join(f'{name!r}: {order[table.end_states[name]]}' for name in STARTS)}}}",
        "",
        "# (what it makes, method of TreeBuilder or None for the only child, symbols, children kept or None for all)",
        "RULES = (",
        *(f"    {_rule(rule)!r}," for rule in rules),
        ")",
        "",
        "# state -> {token or <nonterminal>: next state, or ~rule to reduce}",
        "STATES: tuple[dict[str, int], ...] = (",
        *(f"    {row!r}," for row in rows),
        ")",
        "",
    ]
    return "\n".join(lines)


def _order(table: Any) -> dict[int, int]:
    """New numbers for lark's states, by first visit from the starts: lark's own depend on set order."""
    from lark.parsers.lalr_analysis import Shift

    order: dict[int, int] = {}
    todo = [table.start_states[name] for name in STARTS]
    while todo:
        state = todo.pop(0)
        if state in order:
            continue
        order[state] = len(order)
        moves = sorted((symbol, to) for symbol, (kind, to) in table.states[state].items() if kind is Shift)
        todo += [to for _, to in moves]
    return order


def _terminals(lark: Any) -> tuple[dict[str, str], set[str], list[tuple[str, str]]]:
    """How each terminal is called in the tables; the keywords; the other terminals with their regular expressions."""
    spelt: dict[str, str] = {"$END": "end"}
    keywords: set[str] = set()
    patterns: list[tuple[str, str]] = []
    literals: list[str] = []
    for terminal in lark.terminals:
        value = terminal.pattern.value
        word = _KEYWORD.match(value)
        if word is not None:
            spelt[terminal.name] = word.group(1)
            keywords.add(word.group(1))
        elif terminal.pattern.type == "str":
            spelt[terminal.name] = value
            literals.append(value)
        else:
            spelt[terminal.name] = terminal.name
            patterns.append((terminal.name, value))
    patterns.sort()
    patterns.append(
        ("LITERAL", "|".join(re.escape(each) for each in sorted(literals, key=lambda each: (-len(each), each))))
    )
    return spelt, keywords, patterns


def _token_pattern(patterns: list[tuple[str, str]]) -> str:
    return "|".join(f"(?P<{name}>{value})" for name, value in patterns)


def _rule(rule: Any) -> tuple[str, str | None, int, tuple[int, ...] | None]:
    """One rule as the driver reads it. Children: a number keeps that one, -1 puts None, -2-n spreads the list n."""
    kept: list[int] = []
    holes = "".join(str(int(each)) for each in rule.options.empty_indices)
    gaps = [len(ones) for ones in holes.split("0")] if holes else [0] * (len(rule.expansion) + 1)
    for at, symbol in enumerate(rule.expansion):
        kept += [-1] * gaps[at]
        if not (symbol.is_term and symbol.filter_out):
            kept.append(-2 - at if symbol.name.startswith("__") else at)
    kept += [-1] * gaps[len(rule.expansion)]
    origin = str(rule.origin.name)
    if rule.options.expand1 and rule.alias is None:
        assert len(kept) == 1, f"{origin}: a ?rule without an alias must have one child"
        return f"<{origin}>", None, len(rule.expansion), (kept[0],)
    method = "" if origin.startswith("__") else str(rule.alias or origin)
    whole = kept == list(range(len(rule.expansion)))
    return f"<{origin}>", method, len(rule.expansion), None if whole else tuple(kept)


def main() -> None:
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_tables.py")
    with open(path, "w", encoding="utf-8", newline="\n") as stream:
        stream.write(tables())


if __name__ == "__main__":
    main()
