"""From images to a policy that a person can read: what exits becomes rules, numbers become names where they have one.

The policy compiles to the images again (the command tries it). What an image does not tell is not made up: every rule
exits, and the reader puts the actions in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from policyc.analyses.bits import TARGETS
from policyc.analyses.images import FILTER, Exits
from policyc.database.names import Database
from policyc.semantics.wording import range_text
from policyc.syntax.parser import MAX_STATEMENT
from policyc.targets.kvm_filter import X2APIC
from policyc.vocabulary.access import IO, MSR, PORT_LAST
from policyc.vocabulary.intervals import Intervals, intersect, normal, size, subtract, union

_EVERY: Intervals = ((0, PORT_LAST),)
_ROOM = MAX_STATEMENT - 100
"""Characters for the items of one set; the rest is for the words around them."""


class Contradiction(Exception):
    """Two images decide one address differently. Its words say which."""


class _Space(NamedTuple):
    """What is known of one address space. closed: everything exits but for the sets, which name what passes."""

    space: str
    closed: bool
    sets: tuple[tuple[str, Intervals], ...]


def decompile(images: Sequence[Exits], names: Database, said: str = "", closed_ports: bool | None = None) -> str:
    """The policy's text. images: of any targets, each kind once. said: where they come from, for the first line.
    closed_ports: whether ports exit by default, None where the images do not tell; then as most of them do.

    Raises Contradiction where they disagree.
    """
    targets = list(dict.fromkeys(TARGETS[each.image] for each in images))
    spaces = [space for space in (_msrs(images), _ports(images, closed_ports)) if space is not None]
    lines = [
        f"# Decompiled from {said}." if said else "# Decompiled.",
        "language 1",
        f"target {', '.join(targets)}",
        "",
    ]
    for each in spaces:
        lines.append(f"default {each.space} {'exit' if each.closed else 'passthrough'}")
    if len(spaces) == 1:
        lines.append(f"default {IO if spaces[0].space == MSR else MSR} passthrough")
    for each in spaces:
        for access, ranges in each.sets:
            lines += ["", *_rule("allow" if each.closed else "intercept", each.space, ranges, access, names)]
    return "\n".join(lines) + "\n"


def _msrs(images: Sequence[Exits]) -> _Space | None:
    some = [_filtered(each) for each in images if each.ports is None]
    if not some:
        return None
    if any(each.image != FILTER for each in some):  # KVM says nothing of x2APIC MSRs; another image may.
        some = [
            each._replace(windows=subtract(each.windows, X2APIC)) if each.image == FILTER else each for each in some
        ]
    windows: Intervals = ()
    read: Intervals = ()
    write: Intervals = ()
    for each in some:
        ours = tuple(intersect(exits or (), each.windows) for exits in (each.read, each.write))
        for known, new, word in ((read, ours[0], "reads"), (write, ours[1], "writes")):
            _agree(intersect(known, each.windows), intersect(new, windows), f"{word} of MSRs", each.image)
        read, write = union(read, ours[0]), union(write, ours[1])
        windows = union(windows, each.windows)
    passing = [subtract(windows, each) for each in (read, write)]
    closed = sum(map(size, passing)) < size(read) + size(write)
    first, second = passing if closed else (read, write)
    both = intersect(first, second)
    sets = (("", both), ("read", subtract(first, both)), ("write", subtract(second, both)))
    return _Space(MSR, closed, tuple(each for each in sets if each[1]))


def _filtered(exits: Exits) -> Exits:
    """KVM never filters x2APIC MSRs, whatever stands in the filter."""
    if exits.image != FILTER:
        return exits
    return exits._replace(read=subtract(exits.read or (), X2APIC), write=subtract(exits.write or (), X2APIC))


def _ports(images: Sequence[Exits], said: bool | None) -> _Space | None:
    some = [each for each in images if each.ports is not None]
    if not some:
        return None
    ports = some[0].ports or ()
    for each in some[1:]:
        _agree(ports, each.ports or (), "ports", each.image)
    closed = size(ports) * 2 > PORT_LAST + 1 if said is None else said
    chosen = subtract(_EVERY, ports) if closed else ports
    return _Space(IO, closed, (("", chosen),) if chosen else ())


def _agree(known: Intervals, new: Intervals, what: str, image: str) -> None:
    differ = union(subtract(known, new), subtract(new, known))
    if differ:
        raise Contradiction(f"{image} and the images before it disagree on {what}, first on {differ[0][0]:#x}")


def _rule(verb: str, space: str, ranges: Intervals, access: str, names: Database) -> list[str]:
    """One rule, or several if it is very long, its set in lines: each item with its name, or a comment on what it is."""
    items = [_item(space, lo, hi, names) for pair in ranges for lo, hi in _parts(space, *pair, names)]
    tail = f" {access}" if access else ""
    if len(items) == 1 and not items[0][1]:
        return [f"{verb} {space} {items[0][0]}{tail}"]
    shown = [f"    {text}," + (f"  # {comment}" if comment else "") for text, comment in items]
    return [line for some in _statements(shown) for line in (f"{verb} {space} {{", *some, f"}}{tail}")]


def _statements(lines: Sequence[str]) -> list[list[str]]:
    """The items of a set, shared out so that no rule is longer than the compiler reads; nearly always all in one."""
    out: list[list[str]] = [[]]
    left = _ROOM
    for line in lines:
        left -= len(line) + 1
        if left < 0:
            out.append([])
            left = _ROOM - len(line) - 1
        out[-1].append(line)
    return out


def _parts(space: str, lo: int, hi: int, names: Database) -> Intervals:
    """A range, cut at the ends of the devices that begin where it begins and end inside it; else whole."""
    if space == MSR:
        return ((lo, hi),) if hi - lo > 3 else tuple((each, each) for each in range(lo, hi + 1))
    found = []
    at = lo
    while at <= hi:
        ends = [each.hi for each in names.port_entries(at) if each.lo == at and at < each.hi <= hi]
        if not ends:
            break
        found.append((at, max(ends)))
        at = max(ends) + 1
    return (*found, (at, hi)) if at <= hi else tuple(found)


def _item(space: str, lo: int, hi: int, names: Database) -> tuple[str, str]:
    """The words for a range, and a comment: its number where it is named, the names in it where it is not."""
    number = range_text(lo, hi)
    if space == IO:
        for entry in names.port_entries(lo):
            if (entry.lo, entry.hi) == (lo, hi) and names.port(entry.name) == ((lo, hi),):
                return entry.name, number
    find = names.msr_name if space == MSR else names.port_name
    first, last = find(lo), find(hi)
    if lo == hi and first is not None and (names.msr if space == MSR else names.port)(first) == ((lo, lo),):
        return first, number
    shown = [each for each in (first, last) if each is not None]
    return number, " .. ".join(dict.fromkeys(shown))


def same(left: Sequence[Exits], right: Sequence[Exits]) -> bool:
    """Whether two lists of images let the same exit."""
    return {each.image: _canonical(each) for each in left} == {each.image: _canonical(each) for each in right}


def _canonical(exits: Exits) -> tuple[Intervals | None, ...]:
    known = _filtered(exits)
    return tuple(None if each is None else normal(each) for each in (known.read, known.write, known.ports))
