"""Patches to a text: which can be applied together, and what comes of it. Nothing is read or written here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from policyc.lint.settings import matches
from policyc.syntax import tree
from policyc.vocabulary.diagnostic import Diagnostic, Edit, Fix
from policyc.vocabulary.span import Source, Span

MAX_WIDTH = 120
"""Columns of a waiver comment, as Y708 has it."""


def chosen(found: Iterable[Diagnostic], *, unsafe: bool, editable: Iterable[str]) -> list[Fix]:
    """The fixes to apply together: one a finding, in order, none that touches what an earlier one changes.

    unsafe: those that may change what is intercepted too. editable: names of the sources that may be changed.
    """
    names = set(editable)
    taken: dict[str, list[tuple[int, int]]] = {}
    out = []
    for diagnostic in found:
        for fix in diagnostic.fixes:
            if not (fix.safe or unsafe) or any(each.span.source.name not in names for each in fix.edits):
                continue
            if any(_touches(each.span, taken.get(each.span.source.name, ())) for each in fix.edits):
                continue
            for each in fix.edits:
                taken.setdefault(each.span.source.name, []).append((each.span.start, each.span.end))
            out.append(fix)
            break
    return out


def _touches(span: Span, taken: Iterable[tuple[int, int]]) -> bool:
    """Whether a place shares a character or an end with one that is taken: such edits have no order of their own."""
    return any(span.start <= end and start <= span.end for start, end in taken)


def apply(fixes: Iterable[Fix]) -> dict[str, str]:
    """The new text of every source that the fixes change, by its name. The fixes must not touch each other."""
    edits: dict[str, list[Edit]] = {}
    for fix in fixes:
        for edit in fix.edits:
            edits.setdefault(edit.span.source.name, []).append(edit)
    return {name: applied(several[0].span.source.text, several) for name, several in edits.items()}


def applied(text: str, edits: Iterable[Edit]) -> str:
    """One text with edits that do not overlap."""
    for edit in sorted(edits, key=lambda each: each.span.start, reverse=True):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


# waivers for what an old policy has


def waivers(
    found: Iterable[Diagnostic],
    trees: Mapping[str, tree.Module],
    reason: Callable[[str], str],
    forbidden: Sequence[str],
) -> list[Fix]:
    """Comments that accept the findings, above the statements that they are about; at the top where there is none.

    trees: of the files that may be changed, by name. reason: of a code. forbidden: patterns of codes that no comment may accept; these are left out, as are compile errors.
    """
    wanted: dict[tuple[str, int], dict[str, None]] = {}
    sources: dict[str, Source] = {}
    for diagnostic in found:
        code = diagnostic.code
        if diagnostic.primary is None or code[0] in "DEX" or any(matches(each, code) for each in forbidden):
            continue
        source = diagnostic.primary.span.source
        module = trees.get(source.name)
        if module is None:
            continue
        sources[source.name] = source
        statement = _statement(module, diagnostic.primary.span)
        line = 0 if statement is None else statement.line
        wanted.setdefault((source.name, line), {})[code] = None
    return [
        Fix("accept it", (_comment(sources[name], line, _by_reason(codes, reason)),), safe=True)
        for (name, line), codes in wanted.items()
    ]


def _statement(module: tree.Module, span: Span) -> Span | None:
    """The innermost statement that holds a place; None for the point at which findings about absent words stand."""
    best: Span | None = None
    if span.start == span.end:
        return None
    for statement in module.statements:
        inner = statement.body if isinstance(statement, tree.Profile) else ()
        for each in (statement.span, *(one.span for one in inner)):
            if each.start <= span.start < each.end and (best is None or each.start >= best.start):
                best = each
    return best


def _by_reason(codes: Iterable[str], reason: Callable[[str], str]) -> dict[str, list[str]]:
    """Each reason with its codes, in their order."""
    out: dict[str, list[str]] = {}
    for code in sorted(codes):
        out.setdefault(reason(code), []).append(code)
    return out


def _comment(source: Source, line: int, reasons: Mapping[str, Sequence[str]]) -> Edit:
    """A waiver on lines of its own; line 0: for the whole file."""
    word = "ignore" if line else "file-ignore"
    at = source.line_start(line) if line else 0
    indent = source.line(line)[: len(source.line(line)) - len(source.line(line).lstrip())] if line else ""
    ending = "\r\n" if "\r\n" in source.text else "\n"
    text = ""
    for reason, codes in reasons.items():
        rows: list[list[str]] = [[]]
        for code in codes:
            if rows[-1] and len(_row(word, [*rows[-1], code], reason)) + len(indent) > MAX_WIDTH:
                rows.append([])
            rows[-1].append(code)
        text += "".join(f"{indent}{_row(word, row, reason)}{ending}" for row in rows)
    return Edit(Span(source, at, at), text)


def _row(word: str, codes: Sequence[str], reason: str) -> str:
    return f'# policyc: {word}[{", ".join(codes)}] reason="{reason}"'
