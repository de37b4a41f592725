"""What lint calls reaching hardware, exiting and being served, compared with the naive evaluator on random policies."""

from __future__ import annotations

from collections import defaultdict
from random import Random

import pytest

from policyc.lint.registry import load_all
from policyc.lint.subject import Subject
from policyc.semantics.decide import decide, variants
from policyc.semantics.modules import MAIN, Loaded
from policyc.semantics.policy import Actions, ModuleInfo, Policy, Variant
from policyc.semantics.resolve import Written
from policyc.semantics.scope import Scope
from policyc.syntax import tree
from policyc.vocabulary.access import IN1, IO, MSR, MSR_READ, MSR_WRITE, OUT1, Access
from policyc.vocabulary.intervals import contains
from policyc.vocabulary.span import Source
from tests.analyses.random_pairs import MSRS, PORTS, outcomes, passes, some_policy
from tests.lint.lint import DATABASE

WINDOWS = ((0, 0x1FFF), (0xC0000000, 0xC0001FFF))


def subject_of(policy: Policy) -> Subject:
    source = Source("vm.pol", "\n" * 20)
    policy = policy._replace(modules=(ModuleInfo("vm.pol", "vm.pol", source),))
    written = Written((Loaded(MAIN, "vm.pol", "vm.pol", tree.Module(source, (), (), ())),), {MAIN: Scope(DATABASE)})
    maps = {variant: decide(policy, variant) for variant in variants(policy)}
    return Subject(policy, maps, ("vmx",), DATABASE, written)


def judged(policy: Policy) -> dict[tuple[int, int], list[list[Actions]]]:
    """Column and address to the outcomes of all values, in every variant."""
    out: dict[tuple[int, int], list[list[Actions]]] = defaultdict(list)
    for variant in variants(policy):
        here: dict[tuple[int, int], list[Actions]] = defaultdict(list)
        for access, actions in outcomes(policy, variant):
            if access.column in (MSR_READ, MSR_WRITE, IN1, OUT1):
                here[access.column, access.address].append(actions)
        for key, found in here.items():
            out[key].append(found)
    return out


@pytest.mark.parametrize("seed", range(30))
def test_what_reaches_hardware_is_what_the_evaluator_passes_whatever_the_value(seed: int) -> None:
    policy = some_policy(Random(seed))
    subject, truth = subject_of(policy), judged(policy)
    for column in (MSR_READ, MSR_WRITE, IN1, OUT1):
        space, some = (MSR, MSRS) if column <= MSR_WRITE else (IO, PORTS)
        ranges = ((min(some), max(some)),)
        places = subject.open(space, ranges, 1 << column)
        for address in some:
            naive = any(all(map(passes, found)) for found in truth[column, address])
            naive = naive and (space == IO or contains(WINDOWS, address))
            told = any(contains(place.ranges, address) for place in places)
            assert told == naive, (column, hex(address))


@pytest.mark.parametrize("seed", range(30))
def test_who_lets_an_access_through_is_who_the_evaluator_names(seed: int) -> None:
    from policyc.proof.evaluate import evaluate

    policy = some_policy(Random(seed))
    base = subject_of(policy)
    base.maps = {Variant(): base.maps[Variant()]}
    for place in base.open(MSR, ((0, 5),), 1 << MSR_WRITE):
        for lo, _ in place.ranges:
            verdict = evaluate(policy, Variant(), Access("wrmsr", lo, 8, 0, 0), "vmx")
            mine = None if place.rule is None else place.rule.number
            conditional = place.rule is not None and place.rule.conditions
            assert conditional or verdict.rule == mine


@pytest.mark.parametrize("seed", range(40))
def test_every_rule_runs_on_every_policy(seed: int) -> None:
    subject = subject_of(some_policy(Random(seed), 12))
    for each in load_all():
        for found in each.check(subject) if each.check is not None else ():
            assert found.code == each.rule.code
            assert found.primary is not None
