"""The ways to read a line, beside each other: lark with its tree made inline, our driver of lark's tables, one pattern.

All make the nodes of ``policyc.syntax.tree``. lark is tuned: LALR, the basic lexer's tables built once, callbacks called
as rules are recognised, the cycle collector off.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

from bench.common.cost import turns
from bench.common.figures import Figure
from bench.policies import plain
from policyc.syntax import plain as pattern
from policyc.syntax import tree
from policyc.syntax.builder import TreeBuilder
from policyc.syntax.lalr import parse, reducers
from policyc.vocabulary.span import Source

LINES = 4000


class Inline:
    """What lark calls as it recognises rules: the builder's methods, with lark's tokens made words."""

    def __init__(self, builder: TreeBuilder) -> None:
        self.builder = builder

    def __getattr__(self, name: str) -> Callable[[list[Any]], Any]:
        if not name.islower():
            raise AttributeError(name)
        method, source = getattr(self.builder, name), self.builder.source

        def call(children: list[Any]) -> Any:
            return method(
                *[
                    tree.Word(str(each), source, each.start_pos)
                    if isinstance(each, str) and hasattr(each, "start_pos")
                    else each
                    for each in children
                ]
            )

        return call


def ways() -> dict[str, Callable[[str], object]]:
    """By name, what reads one line."""
    source = Source("x.pol", "")
    builder = TreeBuilder(source)
    methods = reducers(builder)

    def driver(line: str) -> object:
        text = Source("x.pol", line)
        builder.source = text
        builder.begin(0, len(line), ())
        return parse(text, 0, len(line), "statement", methods)

    found: dict[str, Callable[[str], object]] = {
        "one pattern": lambda line: pattern.rule(Source("x.pol", line), 0, len(line), ()),
        "our driver of lark's tables": driver,
    }
    if find_spec("lark"):
        from lark import Lark

        from policyc import resources

        inline = Inline(TreeBuilder(source))
        grammar = resources.read("grammars", "policy.lark")
        made = Lark(grammar, parser="lalr", start="statement", maybe_placeholders=True, transformer=inline)
        found["lark, tree made inline"] = made.parse
    return found


def figures(quick: bool) -> tuple[Figure, ...]:
    """Microseconds for a plain line."""
    lines = plain(LINES).splitlines()[3:]

    def timed(read: Callable[[str], object]) -> float:
        gc.disable()
        try:
            start = time.process_time()
            for line in lines:
                read(line)
            return time.process_time() - start
        finally:
            gc.enable()

    least = turns({name: partial(timed, read) for name, read in ways().items()}, 2 if quick else 7)
    return tuple(Figure(f"a plain line by {name}", took / len(lines) * 1e6, "us") for name, took in least.items())
