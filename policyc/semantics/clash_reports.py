"""The words of E201, E202 and E203: where two rules meet, and how to write them apart."""

from __future__ import annotations

import re
from collections.abc import Sequence

from policyc.semantics.addresses import Names
from policyc.semantics.overlaps import Pair
from policyc.semantics.policy import LAYER_IMPORT, LAYER_OVERRIDE, LAYER_PROFILE, Policy, Rule
from policyc.semantics.wording import (
    accesses_text,
    addresses_text,
    clause,
    columns_text,
    counted,
    flat,
    items_text,
    rule_name,
    says,
)
from policyc.vocabulary import intervals
from policyc.vocabulary.diagnostic import Diagnostic, Label, error
from policyc.vocabulary.intervals import Intervals

_FEW = 3
"""Ranges up to which a cut is written out; more become an ``except``."""

_MOST_ITEMS = 16
"""Ranges of a cut that are written out at most."""

_WIDTH_OF_HELP = 25
_EXCEPT = re.compile(r"\s*\bexcept\s*(?:\{[^}]*\}|\S+(?:\s*\.\.\s*\S+|\s+len\s+\S+)?)")


def report(
    policy: Policy, code: str, pair: Pair, overlap: Intervals, columns: int, profile: str | None, names: Names | None
) -> Diagnostic:
    """One clash; its primary place is the later rule."""
    earlier, later = pair
    title = accesses_text(later.space, overlap, columns, names)
    if code == "E203":
        return _allow_cuts(policy, pair, overlap, columns, names)
    kind = "override rules" if code == "E202" else "rules"
    notes = (_overlap_note(later, overlap, columns, names), _why(policy, pair, code, profile))
    return error(
        code,
        f"two {kind} decide `{title}` differently",
        later.span,
        f"{rule_name(later)} {says(later)}",
        secondary=(Label(earlier.span, f"{rule_name(earlier)} {says(earlier)}"),),
        notes=notes,
        helps=_helps(policy, pair, overlap, columns, code, profile),
    )


def closing(found: Sequence[Diagnostic], most: int) -> Diagnostic:
    """Said after the last report of too many."""
    last = max(found, key=Diagnostic.sort_key)
    assert last.primary is not None
    said = f"{most} clashes are told; there may be more"
    return error(last.code, said, last.primary.span, helps=("mend these, and run the command again",))


def _allow_cuts(policy: Policy, pair: Pair, overlap: Intervals, columns: int, names: Names | None) -> Diagnostic:
    allow, trap = pair if not pair.earlier.traps else (pair.later, pair.earlier)
    ours, theirs = policy.modules[allow.module].name, policy.modules[trap.module].name
    title = accesses_text(allow.space, overlap, columns, names)
    return error(
        "E203",
        f"an `allow` of {ours} opens `{title}`, which {theirs} intercepts",
        allow.span,
        f"{rule_name(allow)} allows it",
        secondary=(Label(trap.span, f"{rule_name(trap)} {says(trap)}"),),
        notes=(
            _overlap_note(allow, overlap, columns, names),
            "opening what another module intercepts must be plain to see",
        ),
        helps=(
            _line("say so:", _written(allow, override=True)),
            _line(f"or keep it, in {policy.modules[0].name}:", _written(trap, overlap)),
        ),
    )


def _overlap_note(later: Rule, overlap: Intervals, columns: int, names: Names | None) -> str:
    part = counted(later.space, intervals.size(overlap), intervals.size(later.ranges))
    return f"overlap: {addresses_text(later.space, overlap, names)}, {columns_text(columns)} - {part}"


def _why(policy: Policy, pair: Pair, code: str, profile: str | None) -> str:
    earlier, later = pair
    if code == "E202":
        where = "" if earlier.profile == later.profile else f"; they meet in the profile `{profile}`"
        return f"nothing outranks an override, so neither wins{where}"
    if later.layer == LAYER_PROFILE and earlier.profile != later.profile:
        return (
            f"the profile `{profile}` extends both `{earlier.profile}` and `{later.profile}`, "
            "neither of which extends the other"
        )
    if later.layer == LAYER_PROFILE:
        return "rules of one profile have no order, so neither wins"
    if earlier.module != later.module:
        return "imported modules have no order, so neither wins"
    return "rules of one file have no order, so neither wins"


def _helps(
    policy: Policy, pair: Pair, overlap: Intervals, columns: int, code: str, profile: str | None
) -> tuple[str, ...]:
    """How to cut the overlap, where that opens nothing; how to state who wins."""
    earlier, later = pair
    special = _special(earlier, later)
    general = earlier if special is later else later
    if special is None:
        cut = _cut(later, earlier, overlap, columns) or _cut(earlier, later, overlap, columns)
    else:
        cut = _cut(general, special, overlap, columns)
    helps = [] if cut is None else [_line("cut the overlap:", cut)]
    if code == "E202" and special is not None:
        helps.append(_line("or let the other win:" if helps else "let the other win:", _plain(general)))
    elif code == "E202":
        helps.append(("or " if helps else "") + "take `override` from one of them")
    elif special is not None and special.conditions:
        # A rule of a higher layer that may not hold would leave the two to clash where it does not: only this mends it.
        helps.append(_line("state who wins:", _written(special, override=True)))
    elif later.layer == LAYER_PROFILE and earlier.profile != later.profile:
        trap = later if later.traps else earlier
        helps.insert(0, _line(f"decide it in `{profile}`:", _written(trap, overlap)))
    elif later.layer == LAYER_IMPORT:
        helps.insert(0, _line(f"decide it in {policy.modules[0].name}:", _written(later, overlap)))
    else:
        winner = special or later
        helps.append(_line("or state who wins:" if helps else "state who wins:", _written(winner, override=True)))
    return tuple(helps[:2])


def _special(earlier: Rule, later: Rule) -> Rule | None:
    """The one that is a special case of the other, which it would be wrong to give up: it alone has conditions, or all
    its accesses are the other's as well."""
    if bool(earlier.conditions) != bool(later.conditions):
        return earlier if earlier.conditions else later
    inside = [_covers(earlier, later), _covers(later, earlier)]
    if inside[0] == inside[1]:
        return None
    return later if inside[0] else earlier


def _covers(general: Rule, special: Rule) -> bool:
    """Whether a rule says something about every access of another, whatever its value."""
    return (
        not general.conditions
        and not special.columns & ~general.columns
        and not intervals.subtract(special.ranges, general.ranges)
        and (general.vcpus is None or _within(special.vcpus, general.vcpus))
    )


def _plain(rule: Rule) -> str:
    """The statement without its ``override``."""
    return re.sub(r"(^|:\s*)override\s+", r"\1", _written(rule), count=1)


def _line(what: str, statement: str) -> str:
    return f"{what:<{_WIDTH_OF_HELP}} {statement}"


def _cut(rule: Rule, other: Rule, overlap: Intervals, columns: int) -> str | None:
    """The rule without the overlap; None where the other rule does not decide all that would be cut away."""
    if other.conditions or (other.vcpus is not None and not _within(rule.vcpus, other.vcpus)):
        return None
    rest = intervals.subtract(rule.ranges, overlap)
    if columns == rule.columns:
        return _written(rule, rest, overlap) if rest else "delete " + _written(rule)
    narrowed = clause(rule.columns & ~columns)
    if not rest and narrowed is not None and not rule.conditions:
        return _written(rule, access=narrowed)
    return None


def _within(inner: Intervals | None, outer: Intervals) -> bool:
    return inner is not None and not intervals.subtract(inner, outer)


def _written(
    rule: Rule,
    ranges: Intervals | None = None,
    cut: Intervals | None = None,
    *,
    override: bool = False,
    access: str | None = None,
) -> str:
    """The statement on one line, with other addresses (ranges, or the written ones except cut), ``override``, or another
    access word and width."""
    source = rule.span.source.text
    head = flat(source[rule.statement.start : rule.span.start])
    items = flat(rule.span.text)
    tail = flat(source[rule.span.end : rule.statement.end])
    if ranges is not None and (cut is not None or len(ranges) <= _FEW):
        if cut is not None and len(ranges) > _FEW and len(cut) <= _FEW and _EXCEPT.match(" " + tail) is None:
            items += f" except {items_text(cut)}"
        else:
            items = items_text(ranges[:_MOST_ITEMS]).replace(" }", ", ... }" if len(ranges) > _MOST_ITEMS else " }")
            tail = _EXCEPT.sub("", " " + tail, count=1).strip()
    if override and rule.layer != LAYER_OVERRIDE:
        label, colon, verb = head.rpartition(":")
        head = f"{label}{colon} override {verb.strip()}".strip()
    if access is not None:
        tail = re.sub(
            r"^(?:\b(?:read|write|rw|inout|in|out)\b\s*)?(?:width\s+\w+(?:\s*,\s*\w+)*\s*)?", access + " ", tail
        )
    return " ".join(part for part in (head, items, tail.strip()) if part)
