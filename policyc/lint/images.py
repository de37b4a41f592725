"""What the rules say of a raw image: nobody's policy, so it is looked at as the shortest one that exits where it does.

Only rules that ask what exits and what passes are run; those about words have nothing to look at. An image knows neither
actions nor the controls beside it, and findings that hang on these say so in their notes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from policyc.analyses.bits import TARGETS, Bit, Layout
from policyc.analyses.exits import domain
from policyc.analyses.images import FILTER, Exits
from policyc.architecture.kvm import X2APIC_FIRST, X2APIC_LAST
from policyc.database.names import Database
from policyc.lint.registry import load
from policyc.lint.settings import Settings
from policyc.lint.subject import Subject
from policyc.semantics.decide import decide, variants
from policyc.semantics.policy import (
    EXIT,
    LAYER_MAIN,
    PASSTHROUGH,
    Default,
    Defaults,
    ModuleInfo,
    Policy,
    Rule,
    VcpuClass,
)
from policyc.semantics.resolve import Written
from policyc.targets.windows import listed
from policyc.vocabulary.access import IO, IO_COLUMNS, IO_MASK, MSR, MSR_COLUMNS, MSR_MASK, MSR_READ, VCPU_LAST
from policyc.vocabulary.diagnostic import Accesses, Diagnostic
from policyc.vocabulary.intervals import Intervals, intersect, normal, size, subtract
from policyc.vocabulary.span import Source, Span

AUDITED = (
    "P301", "P302", "P304", "P306", "P307", "P309", "P310", "P311",
    "S401", "S402", "S403", "S404", "S405", "S406", "S407", "S408", "S409", "S410", "S411", "S412", "S413", "S414",
    "S415", "S416", "S417", "S418", "S419", "S420", "S424", "S425", "S426", "S428",
    "T502",
)  # fmt: skip
"""Rules that can be asked of an image."""


class Part(NamedTuple):
    """Neighbouring addresses of a finding that are decided alike in one direction.

    access: read, write, or io for both directions of ports. names: of the first and the last address, where they have
    some. first, last: their bits; None where none decides (the default of a KVM filter).
    """

    access: str
    lo: int
    hi: int
    names: tuple[str, ...]
    exits: bool
    first: Bit | None
    last: Bit | None


class Finding(NamedTuple):
    """diagnostic: has no place in a source. source: where a reader can check the rule. parts: in order of address."""

    diagnostic: Diagnostic
    source: str
    parts: tuple[Part, ...]


def audit(name: str, exits: Exits, data: bytes, database: Database, settings: Settings) -> list[Finding]:
    """The findings about one image, the gravest first. name: what messages call it. data: its bytes."""
    subject = _subject(name, exits, database, settings)
    layout = Layout(exits.image, data)
    known = domain([exits])
    found: dict[tuple[str, str], Finding] = {}
    for code in AUDITED:
        registered = load(code)
        rule = registered.rule
        if not settings.runs(code, rule.on, rule.threats):
            continue
        told = _unfilterable(name, data) if code == "T502" and exits.image == FILTER else registered.audit(subject)
        for each in told:
            here = [_within(part, known) for part in each.accesses]
            parts = tuple(part for some in here for part in _parts(some, layout, database))
            if parts:
                bare = each._replace(
                    primary=None, secondary=(), helps=(), fixes=(), severity=settings.level(code, each.severity)
                )
                found.setdefault((code, each.message), Finding(bare, rule.source, parts))
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(found.values(), key=lambda each: (order[each.diagnostic.severity], each.diagnostic.code))


def _within(accesses: Accesses, known: dict[str, Intervals]) -> Accesses:
    """Without what the image does not decide."""
    return accesses._replace(ranges=intersect(accesses.ranges, known.get(accesses.space, ())))


def _parts(accesses: Accesses, layout: Layout, database: Database) -> Iterator[Part]:
    find = database.msr_name if accesses.space == MSR else database.port_name
    columns = (
        [each for each in MSR_COLUMNS if accesses.columns >> each & 1] if accesses.space == MSR else IO_COLUMNS[:1]
    )
    for lo, hi in accesses.ranges:
        for column in columns:
            names = tuple(dict.fromkeys(each for each in (find(lo), find(hi)) if each is not None))
            word = "io" if accesses.space == IO else "read" if column == MSR_READ else "write"
            first, last = layout.bit(column, lo), layout.bit(column, hi)
            yield Part(word, lo, hi, names, accesses.exits, first, last)


def _unfilterable(name: str, data: bytes) -> Iterable[Diagnostic]:
    """T502 of a filter as it is written: what it denies there, KVM lets pass."""
    from policyc.proof.kvm import read

    for number, each in enumerate(read(data).ranges):
        inside = intersect(((each.base, each.base + each.nmsrs - 1),), ((X2APIC_FIRST, X2APIC_LAST),))
        members = (msr for lo, hi in inside for msr in range(lo, hi + 1))
        ranges = normal((msr, msr) for msr in members if not each.bits >> msr - each.base & 1)
        if ranges:
            said = f"range {number} of {name} denies {listed(ranges)}, and KVM filters no x2APIC MSR"
            # KVM's flags are a mask of columns: 1 for reads, 2 for writes.
            about = Accesses(MSR, ranges, each.flags & MSR_MASK, True)
            yield Diagnostic("T502", "error", said, accesses=(about,))


# the image as a policy


def _subject(name: str, exits: Exits, database: Database, settings: Settings) -> Subject:
    policy = _policy(name, exits)
    maps = {each: decide(policy, each) for each in variants(policy)}
    return Subject(
        policy, maps, (TARGETS[exits.image],), database, Written((), {}),
        threat=settings.threat, platform=settings.platform, image=name,
    )  # fmt: skip


def _policy(name: str, exits: Exits) -> Policy:
    """A rule for every run of addresses that are not decided as most of them are."""
    source = Source(name, "")
    here = Span(source, 0, 0)
    (space, whole), *_ = domain([exits]).items()
    rows, closed = _rows(exits, whole)
    verb = "allow" if closed else "intercept"
    actions = PASSTHROUGH if closed else EXIT
    rules = tuple(
        Rule(number, verb, space, (pair,), columns, (), None, actions, LAYER_MAIN, None, 0, None, (), here, here)
        for number, (pair, columns) in enumerate((pair, columns) for columns, ranges in rows for pair in ranges)
    )
    shut, open_ = Default(True, EXIT, None), Default(False, PASSTHROUGH, None)
    default = shut if closed else open_
    defaults = Defaults(default if space == MSR else open_, default if space == IO else open_, EXIT, None)
    every = (VcpuClass("rest", ((0, VCPU_LAST),)),)
    modules = (ModuleInfo(name, name, source),)
    return Policy(
        "image", 1, ((TARGETS[exits.image], here),), defaults, rules, (), every, (), (), (), modules, ""
    )  # fmt: skip


def _rows(exits: Exits, whole: Intervals) -> tuple[list[tuple[int, Intervals]], bool]:
    """Columns with the addresses that are decided unlike most, and whether most exit."""
    if exits.ports is not None:
        closed = size(exits.ports) * 2 > size(whole)
        return [(IO_MASK, subtract(whole, exits.ports) if closed else exits.ports)], closed
    sides = [intersect(each or (), whole) for each in (exits.read, exits.write)]
    closed = sum(map(size, sides)) > size(whole)
    read, write = (subtract(whole, each) if closed else each for each in sides)
    one, other = (1 << each for each in MSR_COLUMNS)
    return [(one | other, intersect(read, write)), (one, subtract(read, write)), (other, subtract(write, read))], closed
