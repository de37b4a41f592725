"""A comparison of two policies in words: for a terminal, for a review comment, for programs.

What opens comes first. Each difference has a line with its addresses, then what the old (``-``) and the new policy
(``+``) do, with the rules that say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from policyc.analyses.diff import CHANGES, CLOSES, KINDS, OPENS, Comparison, Difference, Fate, Found, Scope, Side
from policyc.analyses.risk import Risk
from policyc.database.names import Database
from policyc.reports.cells import safe
from policyc.reports.colour import PLAIN, Paint
from policyc.semantics.policy import DEFAULT_RULE, Actions, Variant
from policyc.semantics.verdicts import Verdict
from policyc.semantics.wording import actions_text, clause, columns_text, condition_text, range_text
from policyc.vocabulary.access import IN_MASK, IO, MSR, MSR_MASK, MSR_READ, MSR_WRITE, OUT_MASK
from policyc.vocabulary.intervals import Intervals, normal, size, subtract, union
from policyc.vocabulary.span import Span

_STYLES = {OPENS: "error", CLOSES: "good", CHANGES: "warning"}
_MOST_RANGES, _MOST_NAMES, _WIDEST = 6, 3, 100


class Subject(NamedTuple):
    """One side as the reports name it. said: what the user called it."""

    said: str
    side: Side


class Line(NamedTuple):
    """One link of a side's decision. where: ``vm.pol:12`` or what else decides. text: the statement there."""

    does: str
    where: str
    text: str
    span: Span | None


# what both forms say


def headline(kind: str, found: Sequence[Found]) -> str:
    """``opens 3 MSRs for write, 8 ports for in and out``; an address that differs in two ways counts once."""
    parts = []
    for space, first, second, words in (
        (MSR, 1 << MSR_READ, 1 << MSR_WRITE, ("read", "write")),
        (IO, IN_MASK, OUT_MASK, ("in", "out")),
    ):
        one, other = (_addresses(found, space, mask) for mask in (first, second))
        both = subtract(one, subtract(one, other))
        for ranges, way in (
            (both, " and ".join(words)),
            (subtract(one, both), words[0]),
            (subtract(other, both), words[1]),
        ):
            if ranges:
                parts.append(f"{_count(space, size(ranges))} for {way}")
    return f"{kind} {', '.join(parts)}"


def _addresses(found: Iterable[Found], space: str, mask: int) -> Intervals:
    chosen = (each.difference for each in found)
    return normal(pair for each in chosen if each.space == space and each.columns & mask for pair in each.ranges)


def _count(space: str, number: int) -> str:
    word = "MSR" if space == MSR else "port"
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def access_words(columns: int) -> str:
    """``write``, ``in``, ``out width 4``, ``in width 1 and out``: exactly these columns."""
    if columns & MSR_MASK:
        return columns_text(columns)
    whole = clause(columns)
    if whole is not None:
        return whole
    return " and ".join(str(clause(part)) for part in (columns & IN_MASK, columns & OUT_MASK) if part)


def ranges_words(ranges: Intervals) -> str:
    """``0x10, 0x1b..0x1d``; long lists end in ``and 1,234 more``."""
    shown = ", ".join(range_text(lo, hi) for lo, hi in ranges[:_MOST_RANGES])
    rest = size(ranges[_MOST_RANGES:])
    return f"{shown} and {rest:,} more" if rest else shown


def names_of(names: Database, space: str, ranges: Intervals) -> tuple[str, ...]:
    """What the database calls the addresses: the whole range where one entry is it, else its first few names."""
    found: dict[str, None] = {}
    for lo, hi in ranges[:_MOST_RANGES]:
        if space == IO:
            for entry in names.port_entries(lo):
                if (entry.lo, entry.hi) == (lo, hi):
                    found[entry.name] = None
                    break
            else:
                _some(found, names.port_name, lo, hi)
        else:
            _some(found, names.msr_name, lo, hi)
    return tuple(found)


def _some(found: dict[str, None], name: Any, lo: int, hi: int) -> None:
    for address in range(lo, min(hi, lo + _MOST_NAMES - 1) + 1):
        called = name(address)
        if called is not None:
            found[called] = None
    if found and hi >= lo + _MOST_NAMES:
        found["..."] = None


def lines_of(side: Side, difference: Difference, fate: Fate, scope: Scope, profile: str | None) -> list[Line]:
    """What one side does, link by link."""
    policy = side.policy
    out = []
    for position, (link, number) in enumerate(zip(fate.links, fate.rules, strict=True)):
        conditions = " and ".join(condition_text(each) for each in link.conditions)
        does = does_text(link.actions, link.traps) + (f" if {conditions}" if conditions else "")
        if position:
            does = f"else {does}"
        if number != DEFAULT_RULE:
            rule = policy.rules[number]
            out.append(_placed(does, rule.statement))
            continue
        defaults = side.maps[Variant(profile, 0)].defaults
        span = defaults.msr.span if difference.space == MSR else defaults.io.span
        if fate.outside:
            span = defaults.outside_span
        out.append(Line(does, "by default", "", None) if span is None else _placed(does, span))
    return out


def does_text(actions: Actions, traps: bool) -> str:
    """The actions; an action that passes the access on after an exit says so."""
    said = actions_text(actions)
    return f"{said} after an exit" if traps and actions[-1].name == "passthrough" else said


def _placed(does: str, span: Span) -> Line:
    if not span.source.text:  # A raw image has no lines.
        return Line(does, span.source.name, "", None)
    return Line(does, f"{span.source.name}:{span.line}", " ".join(span.text.split()), span)


def where_words(found: Found, comparison: Comparison) -> str:
    """``only under profile hardened, on vCPUs 0-1``; nothing where it holds in every scope."""
    if len(found.where) == len(comparison.scopes):
        return ""
    parts = []
    some, every = ([each.profile for each in scopes] for scopes in (found.where, comparison.scopes))
    if set(some) != set(every):
        named = [f"profile {each}" if each is not None else "the base policy" for each in dict.fromkeys(some)]
        parts.append(f"only under {_joined(named)}")
    vcpus = [union(*(each.vcpus for each in scopes)) for scopes in (found.where, comparison.scopes)]
    if vcpus[0] != vcpus[1]:
        parts.append(f"on vCPUs {', '.join(str(lo) if lo == hi else f'{lo}-{hi}' for lo, hi in vcpus[0])}")
    targets = [dict.fromkeys(each.target for each in scopes) for scopes in (found.where, comparison.scopes)]
    if targets[0] != targets[1]:
        parts.append(f"as target {_joined(list(targets[0]))} sees it")
    return ", ".join(parts) or "not in every profile on every vCPU"


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def example_words(difference: Difference) -> str:
    """``out 0xcf8 width 4 value 0x80000000: forward(vpci) before, passthrough now``; where the line needs one."""
    access, old, new, known = difference.example
    conditional = len(difference.old.links) > 1 or len(difference.new.links) > 1
    if not (conditional or difference.starts):
        return ""
    wide = "" if difference.space == MSR else f" width {access.width}"
    given = f" value {access.value:#x}" if access.kind in ("wrmsr", "out") and conditional else ""
    level = f" cpl {access.cpl}" if access.cpl else ""
    does = f"{_verdict(old)} before, {_verdict(new)} now"
    perhaps = "" if known else " (perhaps: there are more conditions than can be compared)"
    return f"{access.kind} {access.address:#x}{wide}{given}{level}: {does}{perhaps}"


def _verdict(verdict: Verdict) -> str:
    return does_text(verdict.actions, verdict.intercepted)


def profile_lines(comparison: Comparison) -> list[str]:
    """What is new and gone of the profiles."""
    lines = []
    for each in comparison.added:
        lines.append(f"profile {each} is new; it is compared with the old base policy")
    for each in comparison.removed:
        lines.append(f"profile {each} is gone")
    return lines


# text


def text(old: Subject, new: Subject, comparison: Comparison, names: Database, paint: Paint = PLAIN) -> str:
    """For a terminal; ends in a newline."""
    if comparison.same:
        return "no difference\n"
    lines = [paint("strong", safe(each)) for each in profile_lines(comparison)]
    for kind in KINDS:
        found = comparison.of(kind)
        if not found:
            continue
        lines.append(paint(_STYLES[kind], headline(kind, found)))
        for each in found:
            lines += _text_lines(old, new, each, comparison, names, paint)
    return "\n".join(lines) + "\n"


def _text_lines(
    old: Subject, new: Subject, found: Found, comparison: Comparison, names: Database, paint: Paint
) -> list[str]:
    each = found.difference
    called = ", ".join(names_of(names, each.space, each.ranges))
    head = f"{access_words(each.columns)}  {ranges_words(each.ranges)}" + (f"  {called}" if called else "")
    if each.total > 1:
        head += f"  ({_count(each.space, each.total)})"
    if each.starts:
        head += "  accesses that start there"
    if each.kind == CHANGES:
        head += "  weaker" if each.weaker else ""
    where = where_words(found, comparison)
    lines = [f"  {head}" + (f"  [{safe(where)}]" if where else "")]
    scope = found.where[0]
    sides = (
        ("-", lines_of(old.side, each, each.old, scope, scope.base), "removed"),
        ("+", lines_of(new.side, each, each.new, scope, scope.profile), "added"),
    )
    room = max(len(line.does) for _, told, _ in sides for line in told)
    where_room = max(len(line.where) for _, told, _ in sides for line in told)
    for sign, told, _ in sides:
        for position, line in enumerate(told):
            mark = sign if position == 0 else " "
            row = f"    {mark} {line.does:<{room}}  {safe(line.where):<{where_room}}  {safe(_cut(line.text))}"
            lines.append(row.rstrip())
    example = example_words(each)
    if example:
        lines.append(paint("faint", f"    for example {example}"))
    return lines


def _cut(words: str) -> str:
    return words if len(words) <= _WIDEST else words[: _WIDEST - 3] + "..."


def risk_line(found: Sequence[Risk], names: Database) -> str:
    """``risk: resets the machine or powers it off (RESET_CONTROL); ...``."""
    if not found:
        return "risk: nothing that opens is tagged in the database"
    said: dict[str, list[str]] = {}
    for each in found:
        said.setdefault(each.about, []).append(_tagged(each, names))
    return "risk: " + "; ".join(f"{about} ({', '.join(where)})" for about, where in said.items())


def _tagged(risk: Risk, names: Database) -> str:
    find = names.msr_name if risk.space == MSR else names.port_name
    addresses = [address for lo, hi in risk.ranges for address in range(lo, min(hi, lo + _MOST_NAMES) + 1)]
    shown = list(dict.fromkeys(find(each) or f"{each:#x}" for each in addresses))[:_MOST_NAMES]
    rest = size(risk.ranges) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest > 0 else "")


# markdown


def markdown(old: Subject, new: Subject, comparison: Comparison, names: Database, risk: Sequence[Risk] | None) -> str:
    """For a review comment: one table for each kind; nothing of a policy's text is read as markup."""
    title = f"**policyc diff** {markdown_code(old.said)} → {markdown_code(new.said)}"
    if comparison.same:
        return f"{title}\n\nNo difference.\n"
    lines = [title, ""]
    lines += [f"* {_plain(each)}" for each in profile_lines(comparison)]
    if risk is not None:
        lines += [f"* {_plain(risk_line(risk, names))}"]
    for kind in KINDS:
        found = comparison.of(kind)
        if not found:
            continue
        words = headline(kind, found)
        lines += [
            "",
            f"**{words[0].upper()}{words[1:]}**",
            "",
            "| access | address | before | after |",
            "|---|---|---|---|",
        ]
        lines += [_row(old, new, each, comparison, names) for each in found]
    return "\n".join(lines).rstrip() + "\n"


def _row(old: Subject, new: Subject, found: Found, comparison: Comparison, names: Database) -> str:
    each, scope = found.difference, found.where[0]
    called = ", ".join(names_of(names, each.space, each.ranges))
    notes = [_plain(ranges_words(each.ranges)), _plain(called), _plain(where_words(found, comparison))]
    if each.starts:
        notes.append("accesses that start there")
    cells = [_plain(access_words(each.columns)), "<br>".join(note for note in notes if note)]
    for side, fate, profile in ((old.side, each.old, scope.base), (new.side, each.new, scope.profile)):
        told = lines_of(side, each, fate, scope, profile)
        cells.append(
            "<br>".join(
                f"{_plain(line.does)}, {_plain(line.where)}"
                + (f": {markdown_code(_cut(line.text))}" if line.text else "")
                for line in told
            )
        )
    return f"| {' | '.join(cells)} |"


def _plain(words: str) -> str:
    """Words that Markdown and HTML take as they are."""
    return "".join(char if char.isalnum() or char in " ,.;:()/=+-%" else f"&#{ord(char)};" for char in safe(words))


def markdown_code(words: str) -> str:
    return f"<code>{_plain(words)}</code>"


# JSON


def fields(
    old: Subject, new: Subject, comparison: Comparison, names: Database, risk: Sequence[Risk] | None
) -> dict[str, Any]:
    """The members of the JSON document."""
    document: dict[str, Any] = {
        "old": old.said,
        "new": new.said,
        "same": comparison.same,
        "profiles": {"added": list(comparison.added), "removed": list(comparison.removed)},
    }
    for kind in KINDS:
        found = comparison.of(kind)
        document[kind] = {
            "summary": headline(kind, found) if found else None,
            "differences": [_item(old, new, each, names) for each in found],
        }
    if risk is not None:
        document["risk"] = [
            {"tag": each.tag, "about": each.about, "space": each.space, "ranges": [list(pair) for pair in each.ranges]}
            for each in risk
        ]
    return document


def _item(old: Subject, new: Subject, found: Found, names: Database) -> dict[str, Any]:
    each, scope = found.difference, found.where[0]
    return {
        "space": each.space,
        "access": access_words(each.columns),
        "ranges": [list(pair) for pair in each.ranges],
        "count": each.total,
        "names": list(names_of(names, each.space, each.ranges)),
        "starts": each.starts,
        "weaker": each.weaker,
        "old": [_said(line) for line in lines_of(old.side, each, each.old, scope, scope.base)],
        "new": [_said(line) for line in lines_of(new.side, each, each.new, scope, scope.profile)],
        "example": {
            **each.example.access._asdict(),
            "old": _verdict(each.example.old),
            "new": _verdict(each.example.new),
            "known": each.example.known,
        },
        "where": [
            {
                "profile": at.profile,
                "compared_with": at.base,
                "vcpus": [list(pair) for pair in at.vcpus],
                "target": at.target,
            }
            for at in found.where
        ],
    }


def _said(line: Line) -> dict[str, Any]:
    place = None if line.span is None else {"file": line.span.source.name, "line": line.span.line}
    return {"does": line.does, "rule": place, "text": line.text}
