"""T501 and T505: what the bitmaps of VT-x and SVM cannot say."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from policyc.semantics.policy import DEFAULT_RULE, DecisionMap, Policy, Rule, Run
from policyc.semantics.wording import brief
from policyc.targets.traps import chain_traps
from policyc.vocabulary.access import (
    IN_MASK,
    IO,
    IO_MASK,
    MSR_COLUMNS,
    MSR_LAST,
    MSR_MASK,
    MSR_READ,
    OUT_MASK,
    PORT_LAST,
    WIDTH_MASKS,
    WIDTHS,
)
from policyc.vocabulary.diagnostic import INFO, Diagnostic, error
from policyc.vocabulary.intervals import Interval, Intervals, intersect, normal, size, subtract

SHOWN = 4
"""Intervals that one message lists before it says how many more there are."""
IN_REMEDY = 16
"""The same for a statement to copy: one that is cut is no statement, so more are shown."""


def listed(intervals: Intervals, shown: int = SHOWN) -> str:
    """The intervals as the language writes them, as a set where there are several; the tail is counted."""
    words = [f"0x{lo:x}" if lo == hi else f"0x{lo:x}..0x{hi:x}" for lo, hi in intervals[:shown]]
    if len(intervals) > shown:
        words.append(f"... {len(intervals) - shown} more")
    return words[0] if len(words) == 1 else "{ " + ", ".join(words) + " }"


def access_words(columns: int) -> str:
    """The access words for a mask of columns of one space, with a space before; empty where all are meant."""
    if columns in (MSR_MASK, IO_MASK):
        return ""
    if columns & MSR_MASK:
        return " read" if columns & 1 << MSR_READ else " write"
    ways = [word for mask, word in ((IN_MASK, " in"), (OUT_MASK, " out")) if columns & mask]
    direction = ways[0] if len(ways) == 1 else ""
    widths = [str(width) for width, mask in WIDTH_MASKS.items() if columns & mask]
    return direction + ("" if len(widths) == len(WIDTHS) else f" width {', '.join(widths)}")


def within(runs: tuple[Run, ...], part: Intervals) -> Iterator[Run]:
    """The runs as far as they lie in the part. Runs outside are not looked at."""
    for lo, hi in part:
        for at in range(bisect_left(runs, lo, key=_last), len(runs)):
            if runs[at].lo > hi:
                break
            yield Run(max(lo, runs[at].lo), min(hi, runs[at].hi), runs[at].chain)


def _last(run: Run) -> int:
    return run.hi


def without_bit(policy: Policy, maps: tuple[DecisionMap, ...], processor: str, windows: Intervals) -> list[Diagnostic]:
    """T501, one per rule: an error for an ``allow`` that the processor cannot keep, an info for an ``intercept``.

    Only rules that have a say outside the windows count, in any variant: a rule that others overrule promises nothing.
    """
    outside = subtract(((0, MSR_LAST),), windows)
    asked: set[int] = set()
    opened: dict[int, list[Interval]] = {}
    for decisions in maps:
        for column in MSR_COLUMNS:
            for lo, hi, chain in within(decisions.columns[column], outside):
                if chain == (DEFAULT_RULE,):
                    continue
                asked.update(chain)
                if not chain_traps(policy.rules, chain, decisions.defaults.msr.traps):
                    for number in chain:
                        opened.setdefault(number, []).append((lo, hi))
    said = []
    for rule in policy.rules:
        if rule.number in opened:
            said.append(_cannot_allow(rule, normal(opened[rule.number]), processor, windows))
        elif rule.number in asked and rule.traps:
            said.append(_exits_anyway(rule, intersect(rule.ranges, outside), processor, windows))
    return said


def _cannot_allow(rule: Rule, part: Intervals, processor: str, windows: Intervals) -> Diagnostic:
    word = access_words(rule.columns)
    helps = [
        f"state the exit and let the handler pass it on: intercept msr {listed(part, IN_REMEDY)}{word} -> passthrough"
    ]
    kept = subtract(rule.ranges, part)
    if kept:
        helps.append(f"keep what has bits: allow msr {listed(kept, IN_REMEDY)}{word}")
    return error(
        "T501",
        f"`allow msr {brief(rule.span.text)}` cannot hold on {processor}: {_verb(part)} always, whatever the bitmap says",
        rule.span,
        "has no bit" if not kept else f"{size(part)} of {size(rule.ranges)} MSRs have no bit",
        notes=(_bits_for(processor, windows),),
        helps=tuple(helps),
    )


def _exits_anyway(rule: Rule, part: Intervals, processor: str, windows: Intervals) -> Diagnostic:
    whole = part == rule.ranges
    there = "" if whole else " there"
    return error(
        "T501",
        f"on {processor} {_verb(part)} always: `{rule.verb} msr {brief(rule.span.text)}` only chooses what the handler "
        f"does{there}",
        rule.span,
        "no bit is set for it" if whole else f"no bit for {size(part)} of {size(rule.ranges)} MSRs",
        notes=(_bits_for(processor, windows),),
        helps=("to say what happens to every MSR without a bit: default msr outside -> ACTION",),
        severity=INFO,
    )


def _verb(part: Intervals) -> str:
    return f"{listed(part)} {'exits' if size(part) == 1 else 'exit'}"


def _bits_for(processor: str, windows: Intervals) -> str:
    return f"{processor} has bits for the MSRs {listed(windows)} only; every other RDMSR and WRMSR exits"


def past_last_port(policy: Policy) -> list[Diagnostic]:
    """T505, one per rule whose ports end at 0xffff."""
    return [
        error(
            "T505",
            f"`{rule.verb} io {brief(rule.span.text)}` ends at the last port: an access that runs past 0xffff always exits",
            rule.span,
            notes=(
                "that is IN or OUT of 2 bytes at 0xffff, or of 4 bytes at 0xfffd..0xffff, whatever the bitmap says",
                "`allow` keeps its word for accesses that end at or below 0xffff"
                if rule.verb == "allow"
                else "the handler sees them with their first port",
            ),
            helps=("nothing to change: the exit handler knows these accesses",),
            severity=INFO,
        )
        for rule in policy.rules
        if rule.space == IO and rule.ranges and rule.ranges[-1][1] == PORT_LAST
    ]
