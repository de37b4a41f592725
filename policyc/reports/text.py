"""Diagnostics for people: the user's own lines with marks below them, then what is known and what to do.

    error[E022]: I/O port 0x10007 does not exist  (port-out-of-range)
     --> vm.pol:7:22
      |
    7 | intercept io 0xfff8..0x10007
      |                      ^^^^^^^ ports end at 0xffff
      |
      = help: write 0xfff8..0xffff

The primary place is marked by ``^``, others by ``-``. A place without words inside the primary one is the exact spot:
it gets the ``^`` and the primary one around it ``~``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from policyc.reports.cells import cells, safe, sentence
from policyc.reports.colour import PLAIN, Paint
from policyc.vocabulary.diagnostic import Diagnostic, Fix, Label
from policyc.vocabulary.span import Source, Span

WINDOW = 120
"""Columns of a source line that are shown; of a longer one, only the surroundings of the marked place."""


class Mark(NamedTuple):
    """Characters start..end-1 of one line (from 0; end > start), drawn with sign; the words stand beside it."""

    start: int
    end: int
    sign: str
    words: str


def render(diagnostic: Diagnostic, paint: Paint = PLAIN) -> str:
    """The whole report, several lines without a newline at the end."""
    head = paint(diagnostic.severity, f"{diagnostic.severity}[{diagnostic.code}]")
    lines = [head + paint("strong", f": {sentence(diagnostic.message)}") + f"  ({diagnostic.slug})"]
    files = _by_file(diagnostic)
    numbers = [number for _, rows in files for number, _ in rows]
    gutter = len(str(max(numbers))) if numbers else 1
    bar = paint("frame", f"{' ' * gutter} |")
    for index, (place, rows) in enumerate(files):
        arrow = paint("frame", ("-->" if index == 0 else ":::"))
        line, column = place.source.position(place.start)
        lines.append(f"{' ' * gutter}{arrow} {safe(place.source.name)}:{line}:{column}")
        lines.append(bar)
        lines += _snippet(place.source, rows, gutter, bar, paint, diagnostic.severity)
    tail = [*(("note", each) for each in diagnostic.notes), *(("help", each) for each in diagnostic.helps)]
    if files and (tail or diagnostic.fixes):
        lines.append(bar)
    equals = paint("frame", f"{' ' * gutter} =")
    for word, said in tail:
        lines.append(f"{equals} {paint('strong', word)}: {sentence(said)}")
    for fix in diagnostic.fixes:
        said = fix.title if fix.safe else f"unsafe: {fix.doubt}"
        lines.append(f"{equals} {paint('strong', 'fix')} ({sentence(said)}):")
        lines += [f"{bar}   {each}" for each in patch(fix, paint)]
    return "\n".join(lines)


def report(diagnostics: Iterable[Diagnostic], paint: Paint = PLAIN) -> str:
    """All of them, an empty line after each; empty if there are none."""
    return "".join(render(each, paint) + "\n\n" for each in diagnostics)


def summary(diagnostics: Sequence[Diagnostic], outcome: str = "") -> str:
    """``3 errors, 1 warning; nothing written``: how many there are, and what came of it. Empty if there are none."""
    counts = [
        (sum(each.severity == severity for each in diagnostics), word)
        for severity, word in (("error", "error"), ("warning", "warning"), ("info", "remark"))
    ]
    said = ", ".join(f"{number} {word}{'' if number == 1 else 's'}" for number, word in counts if number)
    return f"{said}; {outcome}" if said and outcome else said


def show_place(label: Label, paint: Paint = PLAIN) -> list[str]:
    """One marked place outside of a diagnostic: where it is, the line, the mark and its words."""
    source, number = label.span.source, label.span.line
    gutter = len(str(number))
    bar = paint("frame", f"{' ' * gutter} |")
    where = f"{' ' * gutter}{paint('frame', '-->')} {safe(source.name)}:{number}:{label.span.column}"
    return [where, bar, *_snippet(source, _marked(label), gutter, bar, paint, "info")]


# places


def _by_file(diagnostic: Diagnostic) -> list[tuple[Span, list[tuple[int, list[Mark]]]]]:
    """For each file its first place, and its lines with their marks; the file of the primary place comes first."""
    primary = diagnostic.primary
    if primary is None:
        return []
    exact = any(_inside(each, primary) for each in diagnostic.secondary)
    labels = [(primary, "~" if exact else "^")]
    labels += [(each, "^" if _inside(each, primary) else "-") for each in diagnostic.secondary]
    files: dict[int, tuple[Span, list[tuple[int, list[Mark]]]]] = {}
    for label, sign in labels:
        _, rows = files.setdefault(id(label.span.source), (label.span, []))
        for number, mark in _marks(label, sign):
            rows.append((number, [mark]))
    return [(place, _join(place.source, rows)) for place, rows in files.values()]


def _marked(label: Label) -> list[tuple[int, list[Mark]]]:
    return [(number, [mark]) for number, mark in _marks(label, "^")]


def _inside(label: Label, primary: Label) -> bool:
    """Whether a label is the exact spot of the primary one, on the same line."""
    inner, outer = label.span, primary.span
    return (
        not label.text
        and inner.source is outer.source
        and outer.start <= inner.start
        and inner.end <= outer.end
        and inner[1:] != outer[1:]
        and outer.line == outer.source.position(max(outer.start, outer.end - 1))[0]
    )


def _marks(label: Label, sign: str) -> list[tuple[int, Mark]]:
    """Line numbers and marks of one label: one, or first and last line of a place that goes over several."""
    source, start, end = label.span
    while end > start + 1 and source.text[end - 1] in " \t\r\n":
        end -= 1
    line, column = source.position(start)
    last, last_column = source.position(max(start, end - 1))
    if last == line:
        return [(line, Mark(column - 1, max(column, last_column), sign, label.text))]
    length = max(column, len(source.line(line).rstrip()))
    indent = len(source.line(last)) - len(source.line(last).lstrip())
    return [
        (line, Mark(column - 1, length, sign, "...")),
        (last, Mark(min(indent, last_column - 1), last_column, sign, label.text)),
    ]


def _join(source: Source, rows: list[tuple[int, list[Mark]]]) -> list[tuple[int, list[Mark]]]:
    """Rows in the order of lines; marks of one line stand together as far as they fit the window."""
    out: list[tuple[int, list[Mark]]] = []
    for number, marks in sorted(rows, key=lambda row: (row[0], row[1][0].start)):
        if out and out[-1][0] == number:
            line, together = source.line(number), [*out[-1][1], *marks]
            lo, hi = min(each.start for each in together), max(each.end for each in together)
            if _fits(line, WINDOW) or _fits(line[lo:hi], WINDOW // 2):
                out[-1] = (number, together)
                continue
        out.append((number, marks))
    return out


def _fits(text: str, columns: int) -> bool:
    return len(text) <= columns and _width(cells(text)) <= columns


# drawing


def _snippet(
    source: Source, rows: list[tuple[int, list[Mark]]], gutter: int, bar: str, paint: Paint, severity: str
) -> list[str]:
    lines: list[str] = []
    before = None
    for number, marks in rows:
        if before is not None and number == before + 2:
            between, _ = _window(source.line(number - 1), [Mark(0, 1, " ", "")])
            lines.append(_numbered(number - 1, between, gutter, paint))
        elif before is not None and number > before + 1:
            lines.append(paint("frame", "..."))
        shown, placed = _window(source.line(number), marks)
        lines.append(_numbered(number, shown, gutter, paint))
        lines += [f"{bar} {each}" for each in _underlines(placed, paint, severity)]
        before = number
    return lines


def _numbered(number: int, shown: str, gutter: int, paint: Paint) -> str:
    return f"{paint('frame', f'{number:>{gutter}} |')} {shown}".rstrip()


def _width(shown: list[tuple[str, int]]) -> int:
    return sum(columns for _, columns in shown)


def _window(line: str, marks: list[Mark]) -> tuple[str, list[Mark]]:
    """The line as shown, and the marks moved from characters to columns of it."""
    first, last = min(each.start for each in marks), max(each.end for each in marks)
    # A line may have a million characters: only those that can come into the window are looked at.
    cut = max(0, first - WINDOW) if len(line) > 4 * WINDOW else 0
    shown = cells(line[cut : cut + 4 * WINDOW])
    lo, hi = 0, len(shown)
    if _width(shown) > WINDOW:
        lo, hi = _surroundings(shown, first - cut, last - cut)
    left, right = ("..." if cut + lo else ""), ("..." if cut + hi < len(line) else "")
    columns = [len(left)]
    for _, width in shown[lo:hi]:
        columns.append(columns[-1] + width)

    def column(character: int) -> int:
        return columns[min(max(character - cut - lo, 0), hi - lo)]

    placed = []
    for mark in marks:
        start = column(mark.start) + max(0, mark.start - len(line))
        placed.append(mark._replace(start=start, end=max(start + 1, column(mark.end))))
    return left + "".join(text for text, _ in shown[lo:hi]) + right, placed


def _surroundings(shown: list[tuple[str, int]], start: int, end: int) -> tuple[int, int]:
    """Characters lo..hi-1 of a long line around start..end-1, at most WINDOW columns; the start is always there."""
    lo = hi = min(start, len(shown))
    room = WINDOW
    while hi < min(end, len(shown)) and room >= shown[hi][1]:
        room -= shown[hi][1]
        hi += 1
    context = room // 2
    while lo > 0 and context >= shown[lo - 1][1]:
        lo -= 1
        context -= shown[lo][1]
        room -= shown[lo][1]
    while hi < len(shown) and room >= shown[hi][1]:
        room -= shown[hi][1]
        hi += 1
    while lo > 0 and room >= shown[lo - 1][1]:
        lo -= 1
        room -= shown[lo][1]
    return lo, hi


def _underlines(marks: list[Mark], paint: Paint, severity: str) -> list[str]:
    """The row of marks with the words of the rightmost, then the words of the others, each below its mark."""
    order = sorted(marks, key=lambda mark: (mark.start, mark.end))
    row = [" "] * max(each.end for each in order)
    for mark in sorted(order, key=lambda mark: "-~^".index(mark.sign)):
        row[mark.start : mark.end] = mark.sign * (mark.end - mark.start)
    inline = _inline(order)
    words = inline.words if inline is not None else ""
    lines = [f"{_painted(''.join(row), paint, severity)} {sentence(words)}".rstrip()]
    hanging = [each for each in order if each.words and each is not inline]
    while hanging:
        *hanging, mark = hanging
        stems = _stems([*hanging, mark])
        lines += [paint("frame", stems), paint("frame", _stems(hanging).ljust(mark.start)) + sentence(mark.words)]
    return lines


def _inline(order: list[Mark]) -> Mark | None:
    """The mark whose words stand in the row of marks itself: the last that has any."""
    worded = [each for each in order if each.words]
    return worded[-1] if worded else None


def _stems(marks: list[Mark]) -> str:
    row = [" "] * (marks[-1].start + 1) if marks else []
    for mark in marks:
        row[mark.start] = "|"
    return "".join(row)


def _painted(row: str, paint: Paint, severity: str) -> str:
    if not paint.on:
        return row
    return "".join(paint(severity if sign in "^~" else "frame", sign) if sign != " " else sign for sign in row)


# patches


def patch(fix: Fix, paint: Paint = PLAIN) -> list[str]:
    """The lines that a fix takes away and puts in place, as ``- old`` and ``+ new``; file by file."""
    lines: list[str] = []
    by_source: dict[int, list[tuple[Span, str]]] = {}
    for span, text in fix.edits:
        by_source.setdefault(id(span.source), []).append((span, text))
    for edits in by_source.values():
        edits.sort(key=lambda edit: edit[0].start)
        source = edits[0][0].source
        for group in _touching(source, edits):
            old, new = _replaced(source, group)
            lines += [paint("error", f"- {_shown(each)}".rstrip()) for each in old]
            lines += [paint("good", f"+ {_shown(each)}".rstrip()) for each in new]
    return lines


def _touching(source: Source, edits: list[tuple[Span, str]]) -> list[list[tuple[Span, str]]]:
    """Edits in groups that share lines."""
    groups: list[list[tuple[Span, str]]] = []
    last = 0
    for span, text in edits:
        if groups and source.position(span.start)[0] <= last:
            groups[-1].append((span, text))
        else:
            groups.append([(span, text)])
        last = source.position(span.end)[0]
    return groups


def _replaced(source: Source, edits: list[tuple[Span, str]]) -> tuple[list[str], list[str]]:
    first, last = source.position(edits[0][0].start)[0], source.position(edits[-1][0].end)[0]
    start = at = source.line_start(first)
    end = source.line_start(last) + len(source.line(last))
    made = ""
    for span, text in edits:
        made += source.text[at : span.start] + text
        at = max(at, span.end)
    made += source.text[at:end]
    old, new = source.text[start:end].splitlines(), made.splitlines()
    while old and new and old[0] == new[0]:
        del old[0], new[0]
    while old and new and old[-1] == new[-1]:
        del old[-1], new[-1]
    return old, new


def _shown(line: str) -> str:
    shown, _ = _window(line, [Mark(0, 1, " ", "")])
    return shown
