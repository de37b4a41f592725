"""Diagnostics built from a policy text and the words to mark in it."""

from __future__ import annotations

from policyc.vocabulary.diagnostic import ERROR, Diagnostic, Edit, Fix, Label
from policyc.vocabulary.span import Source, Span


def at(source: Source, words: str, line: int, text: str = "") -> Label:
    """The place of the words in a line; they must be there once."""
    content = source.line(line)
    assert content.count(words) == 1, (line, content, words)
    start = source.line_start(line) + content.index(words)
    return Label(Span(source, start, start + len(words)), text)


def numbered(lines: dict[int, str], name: str = "vm.pol") -> Source:
    """A file with these lines; those between are empty."""
    return Source(name, "".join(lines.get(number, "") + "\n" for number in range(1, max(lines) + 1)))


def found(
    code: str,
    message: str,
    primary: Label | None,
    *secondary: Label,
    notes: tuple[str, ...] = (),
    helps: tuple[str, ...] = (),
    fixes: tuple[Fix, ...] = (),
    severity: str = ERROR,
) -> Diagnostic:
    return Diagnostic(code, severity, message, primary, secondary, notes, helps, fixes)


def replace(label: Label, text: str, title: str, safe: bool = False) -> Fix:
    return Fix(title, (Edit(label.span, text),), safe)
