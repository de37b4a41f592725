"""What findings have in common: how they name addresses, and the remedies that they offer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from policyc.lint.rule import Rule
from policyc.lint.subject import Place, Subject
from policyc.semantics.wording import access_word, brief
from policyc.targets.windows import listed
from policyc.vocabulary.access import IO_MASK, MSR, MSR_MASK
from policyc.vocabulary.diagnostic import Accesses, Diagnostic, Fix, Label
from policyc.vocabulary.intervals import Intervals, size
from policyc.vocabulary.span import Span

_NAMED = 3
"""Registers that a message names before it says how many more there are."""
_LOOKED = 256
"""Addresses that are looked at for those names."""
_LISTED = 40
"""Ranges that a statement to copy may list; longer ones would be cut, and one that is cut is no statement."""


def found(
    rule: Rule,
    span: Span,
    message: str,
    label: str = "",
    *,
    secondary: tuple[Label, ...] = (),
    notes: tuple[str, ...] = (),
    helps: tuple[str, ...] = (),
    fixes: tuple[Fix, ...] = (),
    severity: str = "",
    accesses: tuple[Accesses, ...] = (),
) -> Diagnostic:
    """One finding of a rule, of the rule's own severity unless another is given."""
    primary = Label(span, label)
    return Diagnostic(rule.code, severity or rule.severity, message, primary, secondary, notes, helps, fixes, accesses)


def registers(subject: Subject, space: str, ranges: Intervals) -> str:
    """``IA32_DEBUGCTL (0x1d9)``, ``ports CMOS_INDEX (0x70), CMOS_DATA (0x71) and 3 more``; of a family, its first."""
    database = subject.database
    shown: dict[str, str] = {}
    looked = (address for lo, hi in ranges for address in range(lo, hi + 1))
    for address in islice(looked, _LOOKED):
        name = database.msr_name(address) if space == MSR else database.port_name(address)
        word = f"{address:#x}" if name is None else f"{name} ({address:#x})"
        shown.setdefault(word if name is None else name.partition("[")[0], word)
        if len(shown) == _NAMED:
            break
    total = size(ranges)
    rest = total - len(shown)
    word = "" if space == MSR else "port " if total == 1 else "ports "
    return word + ", ".join(shown.values()) + (f" and {rest:,} more" if rest else "")


def clause(columns: int) -> str:
    """`` write``, `` out``: with a space before; empty where both directions are meant."""
    if columns in (MSR_MASK, IO_MASK):
        return ""
    word = access_word(columns)
    return "" if word in ("rw", "inout") else f" {word}"


def close_it(rule: Rule, space: str, place: Place) -> str:
    """How to stop what a place lets through."""
    if place.rule is not None and place.rule.traps:
        return "give it another action than passthrough, or `mask` what may be written"
    if place.rule is not None and size(place.ranges) == size(place.rule.ranges):
        return f'delete the `allow`, or waive it with a reason: # policyc: ignore[{rule.code}] reason="..."'
    if len(place.ranges) > _LISTED:
        return f"close what is not named: default {space} exit"
    what = listed(place.ranges, _LISTED)
    if place.rule is None:
        return f"intercept {space} {what}{clause(place.columns)}"
    return leave_out(place.rule.verb, space, place.rule.span.text, what)


def leave_out(verb: str, space: str, text: str, what: str) -> str:
    """How to take addresses out of a rule; of a long rule only what to add, because one that is cut is no statement."""
    short = brief(text)
    if short.endswith(" ...") or "\n" in text:
        return f"leave it out: add `except {what}`"
    return f"leave it out: {verb} {space} {short} except {what}"


def where(place: Place) -> str:
    """`` (in profile `run`)`` where only some variants do it."""
    named = [each for each in place.profiles if each is not None]
    if None in place.profiles or not named:
        return ""
    return f" in profile{'s' if len(named) > 1 else ''} " + ", ".join(f"`{each}`" for each in named[:3])


def opened(
    rule: Rule,
    subject: Subject,
    space: str,
    ranges: Intervals,
    columns: int,
    *,
    what: str,
    notes: tuple[str, ...],
    helps: tuple[str, ...] = (),
) -> Iterator[Diagnostic]:
    """A finding for every rule or default that lets a guest reach the ranges. what: ``write``, ``read``, ``reach``."""
    for place in subject.open(space, ranges, columns):
        named = registers(subject, space, place.ranges)
        said = f"{place.subject} lets a guest {what} {named}{where(place)}"
        label = f"{size(place.ranges)} {'MSRs' if space == MSR else 'ports'} in all"
        yield found(
            rule,
            place.span,
            said,
            label if size(place.ranges) > 1 else "",
            notes=notes,
            helps=(close_it(rule, space, place), *helps)[:2],
            accesses=(Accesses(space, place.ranges, place.columns, False),),
        )


def costly(
    rule: Rule,
    subject: Subject,
    places: Iterable[Place],
    *,
    space: str,
    notes: tuple[str, ...],
    what: str = "each access",
    helps: tuple[str, ...] = (),
) -> Iterator[Diagnostic]:
    """A finding for every rule or default that makes the guest exit at registers that it uses often."""
    for place in places:
        shown = listed(place.ranges, _LISTED)
        if place.rule is None or place.rule.verb == "allow":
            remedy = f"let it through: allow {space} {shown}{clause(place.columns)}"
        elif size(place.ranges) == size(place.rule.ranges):
            remedy = "delete the rule, or say in a waiver what the exit is for"
        else:
            remedy = leave_out(place.rule.verb, space, place.rule.span.text, shown)
        named = registers(subject, space, place.ranges)
        said = f"{place.subject} makes {what} to {named} exit{where(place)}"
        accesses = (Accesses(space, place.ranges, place.columns, True),)
        yield found(rule, place.span, said, notes=notes, helps=helps or (remedy,), accesses=accesses)
