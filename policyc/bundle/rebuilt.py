"""A bundle's policy with statements to point at: written anew from what the manifest says of each rule.

The text that was compiled is not in a bundle. Its rules are: what they name, what they do, and on which line of which
file they stood. So each gets a line that says the same in the language's words, at its old place, and whoever speaks of
the policy (the report, lint) can quote it.
"""

from __future__ import annotations

from typing import Any

from policyc.analyses.diff import Side
from policyc.bundle.read import Bundle
from policyc.bundle.recall import recall
from policyc.semantics.policy import ModuleInfo, Rule
from policyc.semantics.wording import actions_text, clause, columns_text, condition_text, items_text
from policyc.vocabulary.access import IO_MASK, MSR_MASK
from policyc.vocabulary.span import Source, Span

_MOST_RANGES = 8
"""Ranges that a statement names; a rule made of sets may hold thousands."""
_MOST_LINES = 200_000
"""Lines of a file that are kept apart: a manifest may claim that a rule stood on line 100,000,000."""


def rebuilt(bundle: Bundle) -> Side:
    """As ``recall``, with places and texts. Raises UnreadableError where that does."""
    side = recall(bundle)
    told: list[dict[str, Any]] = bundle.manifest.document["rules"]
    main = bundle.manifest.sources[0].path
    files = {name: number for number, name in enumerate(dict.fromkeys([main, *(each["file"] for each in told)]))}
    texts: dict[str, dict[int, str]] = {name: {} for name in files}
    places: list[tuple[int, int]] = []
    for rule, said in zip(side.policy.rules, told, strict=True):
        lines, number = texts[said["file"]], min(said["line"], _MOST_LINES)
        before = f"{lines[number]}  " if number in lines else ""
        head, items, tail = _words(rule)
        lines[number] = f"{before}{head}{items}{tail}"
        places.append((len(before), len(before) + len(head)))
    sources = {name: _source(name, lines) for name, lines in texts.items()}
    rules = []
    for rule, said, (start, at) in zip(side.policy.rules, told, places, strict=True):
        source = sources[said["file"]]
        first = source.line_start(min(said["line"], _MOST_LINES))
        _, items, tail = _words(rule)
        span = Span(source, first + at, first + at + len(items))
        statement = Span(source, first + start, span.end + len(tail))
        rules.append(rule._replace(module=files[said["file"]], span=span, statement=statement))
    modules = tuple(ModuleInfo(name, name, sources[name]) for name in files)
    return side._replace(policy=side.policy._replace(rules=tuple(rules), modules=modules))


def _source(name: str, lines: dict[int, str]) -> Source:
    return Source(name, "".join(f"{lines.get(number, '')}\n" for number in range(1, max(lines, default=0) + 1)))


def _words(rule: Rule) -> tuple[str, str, str]:
    """A rule as a statement: what stands before its addresses, these, and what stands behind them."""
    head = f"{rule.label}: " if rule.label else ""
    items = items_text(rule.ranges[:_MOST_RANGES])
    if len(rule.ranges) > _MOST_RANGES:
        items = f"{items[:-2]}, ... }}"
    tail = ""
    if rule.columns not in (MSR_MASK, IO_MASK):
        tail += f" {clause(rule.columns) or columns_text(rule.columns)}"
    if rule.conditions:
        tail += f" when {' and '.join(map(condition_text, rule.conditions))}"
    if rule.verb == "intercept":
        tail += f" -> {actions_text(rule.actions)}"
    return f"{head}{rule.verb} {rule.space} ", items, tail
