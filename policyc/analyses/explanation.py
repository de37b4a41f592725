"""Why one access is decided as it is: every rule that names one of its addresses, and what it had to say.

The verdict is the evaluator's, which reads the rules in the manual's words; the order of the rules comes from the
decision map. Where the two disagree, policyc has a bug, and ``explain`` raises AssertionError.
"""

from __future__ import annotations

from typing import NamedTuple

from policyc.proof.evaluate import Verdict, evaluate
from policyc.semantics.conditions import holds
from policyc.semantics.decide import decide, layer_ranks
from policyc.semantics.policy import (
    DEFAULT_RULE,
    LAYER_IMPORT,
    LAYER_MAIN,
    LAYER_OVERRIDE,
    LAYER_PROFILE,
    Condition,
    DecisionMap,
    Policy,
    Rule,
    Variant,
)
from policyc.vocabulary.access import MSR_MASK, PORT_LAST, Access, column_space
from policyc.vocabulary.intervals import contains

DECIDES, CONDITION, OVERRULED, COLUMN, VCPU, PROFILE = "decides", "condition", "overruled", "access", "vcpu", "profile"
"""What a rule had to say. condition: asked, but its condition does not hold. overruled: a rule asked before it decides.
access, vcpu, profile: it is for other directions or widths, other vCPUs, another profile."""

_LAYERS = {
    LAYER_IMPORT: "imported module",
    LAYER_MAIN: "main file",
    LAYER_PROFILE: "profile",
    LAYER_OVERRIDE: "override",
}


class Considered(NamedTuple):
    """One rule (number, DEFAULT_RULE for the default) at one address of the access.

    says: a word from the list above. condition: the first that does not hold, where says is ``condition``.
    """

    address: int
    rule: int
    says: str
    condition: Condition | None = None


class Explanation(NamedTuple):
    """considered: address by address, in the order in which the rules are asked; the ones that never apply last."""

    access: Access
    variant: Variant
    target: str
    verdict: Verdict
    considered: tuple[Considered, ...]


def explain(policy: Policy, variant: Variant, access: Access, target: str) -> Explanation:
    """Raises what evaluate raises for an access, variant or target that does not exist."""
    verdict = evaluate(policy, variant, access, target)
    decisions = decide(policy, variant)
    space = column_space(access.column)
    touched = 1 if 1 << access.column & MSR_MASK else access.width
    considered: list[Considered] = []
    for address in range(access.address, access.address + touched):
        if space == "msr" or address <= PORT_LAST:
            considered += _at(policy, decisions, access, address)
    if verdict.rule is not None:
        deciding = {each.rule for each in considered if each.says == DECIDES}
        assert verdict.rule in deciding, f"rule {verdict.rule} decides, the decision map says {deciding}"
    return Explanation(access, variant, target, verdict, tuple(considered))


def layer_name(rule: Rule) -> str:
    """``main file``, ``profile run``, ``override``."""
    name = _LAYERS[rule.layer]
    return f"{name} {rule.profile}" if rule.layer == LAYER_PROFILE else name


def _at(policy: Policy, decisions: DecisionMap, access: Access, address: int) -> list[Considered]:
    """The rules that name one address, and the default."""
    chain = next(run.chain for run in decisions.columns[access.column] if run.lo <= address <= run.hi)
    out: list[Considered] = []
    for number in chain:
        failing = None if number == DEFAULT_RULE else _failing(policy.rules[number], access)
        if failing is not None:
            out.append(Considered(address, number, CONDITION, failing))
        elif any(each.says == DECIDES for each in out):
            out.append(Considered(address, number, OVERRULED))
        else:
            out.append(Considered(address, number, DECIDES))
    out += _others(policy, decisions, access, address, set(chain))
    if DEFAULT_RULE not in chain:
        after = sum(each.says in (DECIDES, CONDITION, OVERRULED) for each in out)
        out.insert(after, Considered(address, DEFAULT_RULE, OVERRULED))
    return out


def _failing(rule: Rule, access: Access) -> Condition | None:
    """The first condition of a rule that does not hold for the access."""
    if access.kind in ("rdmsr", "in"):  # A read carries no value in.
        about_value = [each for each in rule.conditions if each.subject == "value"]
        if about_value:
            return about_value[0]
    value = access.value & (1 << 8 * access.width) - 1
    return next((each for each in rule.conditions if not holds(each, value, access.cpl)), None)


def _others(policy: Policy, decisions: DecisionMap, access: Access, address: int, chain: set[int]) -> list[Considered]:
    """Rules that name the address and were not asked: overruled ones in their order, then those that do not apply."""
    space = column_space(access.column)
    variant = decisions.variant
    ranks = layer_ranks(policy, variant.profile)
    vcpus = policy.vcpu_classes[variant.vcpu_class].vcpus
    overruled: list[tuple[tuple[int, bool, bool, int], Considered]] = []
    apart: list[Considered] = []
    for rule in policy.rules:
        if rule.number in chain or rule.space != space or not contains(rule.ranges, address):
            continue
        rank = ranks.get((rule.layer, rule.profile))
        if rank is None:
            apart.append(Considered(address, rule.number, PROFILE))
        elif rule.vcpus is not None and not (vcpus and contains(rule.vcpus, vcpus[0][0])):
            apart.append(Considered(address, rule.number, VCPU))
        elif not rule.columns >> access.column & 1:
            apart.append(Considered(address, rule.number, COLUMN))
        else:
            order = (-rank, rule.traps, not rule.conditions, rule.number)
            overruled.append((order, Considered(address, rule.number, OVERRULED)))
    return [each for _, each in sorted(overruled)] + apart
