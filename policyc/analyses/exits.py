"""Images as policies: what exits under a raw image, in a form that can be compared with a policy's.

An image knows only that an access exits, not what is then done; so what is compared with one is reduced to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from policyc.analyses.diff import Side, side
from policyc.analyses.images import Exits
from policyc.semantics.policy import (
    DEFAULT_RULE,
    EXIT,
    LAYER_MAIN,
    PASSTHROUGH,
    Default,
    Defaults,
    Policy,
    Rule,
    VcpuClass,
)
from policyc.targets.traps import chain_traps
from policyc.vocabulary.access import (
    IO,
    IO_COLUMNS,
    IO_MASK,
    MSR,
    MSR_COLUMNS,
    MSR_MASK,
    MSR_READ,
    MSR_WRITE,
    PORT_LAST,
    VCPU_LAST,
)
from policyc.vocabulary.intervals import Intervals, intersect, normal, subtract
from policyc.vocabulary.span import Source, Span

_PASS = Default(False, PASSTHROUGH, None)


def domain(some: Sequence[Exits]) -> dict[str, Intervals]:
    """By address space, what the images decide."""
    found: dict[str, Intervals] = {}
    for each in some:
        if each.ports is None:
            found[MSR] = normal((*found.get(MSR, ()), *each.windows))
        else:
            found[IO] = ((0, PORT_LAST),)
    return found


def exits_side(said: str, some: Sequence[Exits], within: dict[str, Intervals], wrote: Side | None = None) -> Side:
    """A policy that makes exit what the images do, as far as ``within`` goes. wrote: the one variant that they were
    made from, for the places of its rules; else ``said`` names what they are."""
    source = Source(said, "")
    rules: list[tuple[str, int, Intervals, Span]] = []
    for each in some:
        for space, columns, ranges in _sets(each):
            rest = intersect(ranges, within.get(space, ()))
            for span, covered in _origins(wrote, space, columns):
                mine = intersect(rest, covered)
                if mine:
                    rules.append((space, columns, mine, span))
                    rest = subtract(rest, mine)
            if rest:
                rules.append((space, columns, rest, Span(source, 0, 0)))
    return side(_policy(_joined(rules)))


def _joined(rules: Sequence[tuple[str, int, Intervals, Span]]) -> list[tuple[str, int, Intervals, Span]]:
    """Reads and writes of one origin as one rule where they exit alike."""
    found: dict[tuple[str, Span], dict[int, Intervals]] = {}
    for space, columns, ranges, span in rules:
        found.setdefault((space, span), {})[columns] = ranges
    out = []
    for (space, span), sets in found.items():
        if space == IO:
            out += [(space, columns, ranges, span) for columns, ranges in sets.items()]
            continue
        read, write = (sets.get(1 << column, ()) for column in MSR_COLUMNS)
        both = intersect(read, write)
        parts = ((MSR_MASK, both), (1 << MSR_READ, subtract(read, both)), (1 << MSR_WRITE, subtract(write, both)))
        out += [(space, columns, ranges, span) for columns, ranges in parts if ranges]
    return out


def _sets(exits: Exits) -> Iterable[tuple[str, int, Intervals]]:
    if exits.ports is not None:
        yield IO, IO_MASK, exits.ports
        return
    for column, ranges in zip(MSR_COLUMNS, (exits.read or (), exits.write or ()), strict=True):
        yield MSR, 1 << column, ranges


def _origins(wrote: Side | None, space: str, columns: int) -> Iterable[tuple[Span, Intervals]]:
    """The rules (and defaults that are written) that make something exit in one of the columns, and where."""
    if wrote is None:
        return
    policy = wrote.policy
    found: dict[Span, list[tuple[int, int]]] = {}
    (decisions,) = wrote.maps.values()
    default = decisions.defaults.msr if space == MSR else decisions.defaults.io
    seen: set[int] = set()
    for column in MSR_COLUMNS if space == MSR else IO_COLUMNS:
        runs = decisions.columns[column]
        if not columns >> column & 1 or id(runs) in seen:
            continue
        seen.add(id(runs))
        for lo, hi, chain in runs:
            if not chain_traps(policy.rules, chain, default.traps):
                continue
            for number in chain:
                if number == DEFAULT_RULE and default.span is not None and default.traps:
                    found.setdefault(default.span, []).append((lo, hi))
                elif number != DEFAULT_RULE and policy.rules[number].traps:
                    found.setdefault(policy.rules[number].statement, []).append((lo, hi))
    for span, pairs in found.items():
        yield span, normal(pairs)


def _policy(rules: Sequence[tuple[str, int, Intervals, Span]]) -> Policy:
    made = tuple(
        Rule(
            number, "intercept", space, ranges, columns, (), None, EXIT, LAYER_MAIN, None, 0, None, (), span, span
        )
        for number, (space, columns, ranges, span) in enumerate(rules)
    )  # fmt: skip
    every = (VcpuClass("rest", ((0, VCPU_LAST),)),)
    nowhere = Span(Source("", ""), 0, 0)
    # As KVM sees it every MSR can be decided; what an image does not decide is not compared.
    return Policy(
        "image", 1, (("kvm", nowhere),), Defaults(_PASS, _PASS, EXIT, None), made, (), every, (), (), (), (), ""
    )
