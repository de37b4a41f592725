"""Which rules the tests of a policy reach, and accesses that would reach the others.

A rule is covered by a case that it decides: the verdict on the case's access is the rule's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from policyc.analyses.diff import access_of
from policyc.semantics.addresses import Names
from policyc.semantics.outcomes import CaseResult
from policyc.semantics.policy import Action, DecisionMap, Policy, Rule, Variant
from policyc.semantics.verdicts import Judge, Verdict, views
from policyc.semantics.wording import actions_text
from policyc.syntax.words import KEYWORDS
from policyc.vocabulary.access import COLUMNS, Access
from policyc.vocabulary.intervals import contains

STD = "std/"


class Suggestion(NamedTuple):
    """A case that a rule decides, and its line in a ``test`` block."""

    access: Access
    variant: Variant
    verdict: Verdict
    line: str


class Uncovered(NamedTuple):
    """A rule that no case reaches. suggestion: None where no access is decided by it, so that no test could."""

    rule: Rule
    suggestion: Suggestion | None


class Coverage(NamedTuple):
    """rules: how many there are to cover: those of the policy's own files, not of bundled modules."""

    rules: int
    uncovered: tuple[Uncovered, ...]

    @property
    def covered(self) -> int:
        return self.rules - len(self.uncovered)


def coverage(
    policy: Policy, maps: Mapping[Variant, DecisionMap], results: Iterable[CaseResult], names: Names | None = None
) -> Coverage:
    """What the results of a policy's tests leave uncovered, in the order of the rules. names: the database, for lines
    that name MSRs; None for numbers."""
    reached = {each.verdict.rule for each in results}
    own = [each for each in policy.rules if not policy.modules[each.module].path.startswith(STD)]
    judges = {variant: Judge(policy, decisions, views(policy)[0]) for variant, decisions in maps.items()}
    missing = [each for each in own if each.number not in reached]
    return Coverage(len(own), tuple(Uncovered(each, _suggest(policy, judges, each, names)) for each in missing))


def _suggest(policy: Policy, judges: Mapping[Variant, Judge], rule: Rule, names: Names | None) -> Suggestion | None:
    """The first access that the rule decides: in the base policy if it can be, of the narrowest width, lowest first."""
    for variant, judge in judges.items():
        vcpus = policy.vcpu_classes[variant.vcpu_class].vcpus
        if not vcpus or (rule.vcpus is not None and not contains(rule.vcpus, vcpus[0][0])):
            continue
        for column in COLUMNS:
            if not rule.columns >> column & 1:
                continue
            for lo, hi in rule.ranges:
                for stretch in judge.stretches(column, lo, hi):
                    for verdict in judge.verdicts(stretch, column):
                        if verdict.rule == rule.number and verdict.known:
                            access = access_of(column, stretch.lo, verdict.value, verdict.cpl)
                            return Suggestion(access, variant, verdict, _line(policy, access, variant, verdict, names))
    return None


def _line(policy: Policy, access: Access, variant: Variant, verdict: Verdict, names: Names | None) -> str:
    """``out 0xcf8 width 4 value 0x80000000 => forward(vpci)``."""
    words = [access.kind, _address(access, names)]
    if access.kind in ("in", "out") and access.width > 1:
        words.append(f"width {access.width}")
    if access.kind in ("wrmsr", "out") and access.value:
        words.append(f"value {access.value:#x}")
    if access.cpl:
        words.append(f"cpl {access.cpl}")
    if variant.vcpu_class:
        words.append(f"vcpu {policy.vcpu_classes[variant.vcpu_class].vcpus[0][0]}")
    if variant.profile is not None:
        words.append(f"profile {_quoted(variant.profile)}")
    actions = verdict.actions if verdict.intercepted else (Action("passthrough"),)
    return f"{' '.join(words)} => {actions_text(actions)}"


def _address(access: Access, names: Names | None) -> str:
    """The name that means this MSR alone, else the number."""
    if names is not None and access.kind in ("rdmsr", "wrmsr"):
        name = names.msr_name(access.address)
        if name is not None and names.msr(name) == ((access.address, access.address),):
            return name
    return f"{access.address:#x}"


def _quoted(name: str) -> str:
    return f"`{name}`" if name in KEYWORDS else name
