"""What several rules about rules need: which are alike, which names a file uses, and which lines a statement takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from policyc.semantics.policy import Rule
from policyc.syntax import tree
from policyc.vocabulary.span import Span

_Node = TypeVar("_Node", tree.Name, tree.Member)
_BARE = frozenset({Span, tree.Word, tree.Number, tree.Text, str, int, bool, type(None)})
"""What no name is inside of: most of what a tree is made of."""


def alike(left: Rule, right: Rule, *, columns: bool = True) -> bool:
    """Whether two rules of one file do the same, at the same height. columns: and about the same accesses."""
    return (
        left[1:3] == right[1:3]
        and left.traps == right.traps
        and left.actions == right.actions
        and left.conditions == right.conditions
        and left.vcpus == right.vcpus
        and (left.layer, left.profile, left.module) == (right.layer, right.profile, right.module)
        and (not columns or left.columns == right.columns)
    )


def names_in(statements: Iterable[tree.Statement]) -> set[str]:
    """Names that statements use for sets and constants; not where they define them."""
    return {each.text for each in _nodes(statements, tree.Name)}


def modules_in(statements: Iterable[tree.Statement]) -> set[str]:
    """Modules of which statements use a name."""
    return {each.module.text for each in _nodes(statements, tree.Member)}


def _nodes(values: Iterable[object], kind: type[_Node]) -> list[_Node]:
    found: list[_Node] = []
    waiting = list(values)
    while waiting:
        node = waiting.pop()
        if isinstance(node, kind):
            found.append(node)
        if isinstance(node, tree.LetSet | tree.LetConst):
            waiting += (each for each in node if each is not node.name)
        elif isinstance(node, tuple):
            waiting += (each for each in node if type(each) not in _BARE)
    return found


def whole_lines(span: Span) -> Span:
    """A statement with its doc comment and waivers directly above, what follows it on its line, and the line's end.

    To delete it leaves no empty line and no comment about nothing.
    """
    source = span.source
    first, last = span.line, Span(source, max(span.start, span.end - 1), span.end).line
    while first > 1 and source.line(first - 1).lstrip().startswith(("##", "# policyc:")):
        first -= 1
    end = source.line_start(last + 1) if last < source.line_count else len(source.text)
    return Span(source, source.line_start(first), end)
