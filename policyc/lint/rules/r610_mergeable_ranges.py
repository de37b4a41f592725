"""R610: neighbouring numbers of a set that are one range."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.syntax import tree
from policyc.vocabulary.diagnostic import Diagnostic, Edit, Fix

RULE = Rule(
    "R610",
    "mergeable-ranges",
    "info",
    why="`{ 0x60, 0x61 }` is `0x60..0x61`.",
    source="policyc: docs/language.md",
    avoid="""\
language 1
target vmx
default passthrough
intercept io { 0x2000, 0x2001, 0x2010 }
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept io { 0x2000..0x2001, 0x2010 }
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    for _, statement in subject.statements():
        if isinstance(statement, tree.Rule | tree.LetSet | tree.Never | tree.Assert):
            for items in (statement.items, statement.excepts):
                if items is not None and items.braced:
                    yield from _check(items)


def _check(items: tree.Items) -> Iterator[Diagnostic]:
    run: list[tree.Item] = []
    for item in (*items.items, None):
        if item is not None and run and _ends(run[-1])[1] + 1 == _ends(item)[0] and _ends(item)[1] >= 0:
            run.append(item)
            continue
        if len(run) > 1:
            span = run[0].span.to(run[-1].span)
            text = f"{_ends(run[0])[0]:#x}..{_ends(run[-1])[1]:#x}"
            fix = Fix(f"write {text}", (Edit(span, text),), safe=True)
            yield found(RULE, span, f"these {len(run)} items are {text}", helps=(f"write {text}",), fixes=(fix,))
        run = [item] if item is not None and _ends(item)[1] >= 0 else []


def _ends(item: tree.Item) -> tuple[int, int]:
    """First and last address of an item written in hexadecimal numbers; (-2, -1) for others."""
    parts = (
        [item.value] if isinstance(item, tree.Single) else [item.lo, item.hi] if isinstance(item, tree.Range) else []
    )
    numbers = [each.value for each in parts if isinstance(each, tree.Number) and each.base == 16]
    return (numbers[0], numbers[-1]) if numbers and len(numbers) == len(parts) else (-2, -1)
