"""What a policy does: with one address, and by one rule."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.analyses.explanation import layer_name
from policyc.lsp.analysis import Analysis
from policyc.lsp.texts import REASONS
from policyc.proof.evaluate import Verdict, evaluate
from policyc.semantics.addresses import count
from policyc.semantics.policy import Policy, Rule, Variant
from policyc.semantics.wording import (
    actions_text,
    addresses_text,
    columns_text,
    condition_text,
    items_text,
)
from policyc.vocabulary import intervals
from policyc.vocabulary.access import COLUMN_NAMES, COLUMNS, MSR, Access
from policyc.vocabulary.intervals import Intervals

MOST_RULES = 30_000
"""Rules of a policy up to which one access is evaluated while somebody waits."""


def accesses(analysis: Analysis, space: str, number: int) -> Iterator[str]:
    """What becomes of reads and writes of one address in the base policy, and the bits that say so."""
    policy = analysis.policy
    if policy is None or analysis.maps is None or not analysis.targets or len(policy.rules) > MOST_RULES:
        return
    target = analysis.targets[0]
    lines = []
    for kind in ("rdmsr", "wrmsr") if space == MSR else ("in", "out"):
        access = Access(kind, number, 8 if space == MSR else 1, 0, 0)
        verdict = evaluate(policy, Variant(), access, target)
        bits = "".join(f"; {each.image} byte {each.byte:#x} bit {each.bit} = {each.value}" for each in verdict.bits)
        lines.append(f"* `{kind}`: {_outcome(policy, verdict)}{bits}")
    yield f"On {target}:\n" + "\n".join(lines)


def _outcome(policy: Policy, verdict: Verdict) -> str:
    what = f"exits: {actions_text(verdict.actions)}" if verdict.exits else "passes through"
    if verdict.rule is None:
        return f"{what}, {REASONS.get(verdict.reason, verdict.reason)}"
    rule = policy.rules[verdict.rule]
    label = "" if rule.label is None else f" `{rule.label}`"
    return f"{what}, by the rule{label} of line {rule.statement.line}"


def card(analysis: Analysis, path: str, line: int, column: int) -> str | None:
    """The effect of the rule whose words are at a line and column of a file."""
    rule = _rule_at(analysis, path, line, column)
    if rule is None or analysis.policy is None:
        return None
    parts = [f"**{_does(rule)}**"]
    size = intervals.size(rule.ranges)
    where = addresses_text(rule.space, rule.ranges, analysis.database)
    parts.append(
        f"{count(rule.space, size)}, {columns_text(rule.columns)}: {where}"
        if size > 1
        else f"{where}, {columns_text(rule.columns)}"
    )
    if rule.conditions:
        parts.append("when " + " and ".join(f"`{condition_text(each)}`" for each in rule.conditions))
    if rule.vcpus is not None:
        parts.append(f"on vCPUs {items_text(rule.vcpus)}")
    parts.append(f"layer: {layer_name(rule)}")
    parts += _decided(analysis, rule)
    parts += rule.doc
    return "\n\n".join(parts)


def _does(rule: Rule) -> str:
    if not rule.traps:
        return "passes through without an exit"
    return f"exits: {actions_text(rule.actions)}"


def _decided(analysis: Analysis, rule: Rule) -> Iterator[str]:
    """Of the rule's accesses, those that it really decides in the variant in which it stands."""
    if analysis.maps is None:
        return
    maps = analysis.maps[Variant(rule.profile, 0)]
    mine = total = 0
    lost: dict[int, Intervals] = {}
    for column in COLUMNS:
        if not rule.columns >> column & 1:
            continue
        kept = [(run.lo, run.hi) for run in maps.columns[column] if rule.number in run.chain]
        decided = intervals.intersect(rule.ranges, intervals.normal(kept))
        mine += intervals.size(decided)
        total += intervals.size(rule.ranges)
        if decided != rule.ranges:
            lost[column] = intervals.subtract(rule.ranges, decided)
    if not lost:
        yield "It decides all of them."
        return
    column, ranges = next(iter(lost.items()))
    yield f"It decides {mine:,} of {total:,} accesses; not {COLUMN_NAMES[column]} of {addresses_text(rule.space, ranges, analysis.database)}, for instance."


def _rule_at(analysis: Analysis, path: str, line: int, column: int) -> Rule | None:
    if analysis.policy is None:
        return None
    for rule in analysis.policy.rules:
        source = rule.statement.source
        if source.name == path:
            start, end = source.position(rule.statement.start), source.position(rule.statement.end)
            if start <= (line, column) <= end:
                return rule
    return None
