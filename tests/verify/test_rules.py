"""docs/emulators.md says of each rule of the hardware which executor agrees with the manual: measured here."""

from __future__ import annotations

from pathlib import Path

import pytest

from policyc.verify.emulated import EMULATED
from policyc.verify.kvm import Kvm
from tests.demand import need
from tests.verify.rules import (
    EXECUTORS,
    KVM_RULES,
    NOT_APPLICABLE,
    RULES,
    expected,
    expected_table,
    handler,
    measure,
    measure_handler,
    measure_kvm,
    why_not,
)
from tests.verify.subjects import need_for

PAGE = Path(__file__).parents[2] / "docs" / "emulators.md"
BEGIN, END = "<!-- made by tests/verify/rules.py: begin -->\n", "<!-- end -->\n"


def test_the_table_of_the_page_is_the_one_that_the_rules_make() -> None:
    """To make it anew: python -c 'from tests.verify.rules import *; print(expected_table())'"""
    page = PAGE.read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0] == expected_table()


def expected_of(name: str) -> dict[str, str]:
    found = {rule.name: expected(rule, name) for rule in (*RULES, *KVM_RULES)}
    return {rule: word for rule, word in found.items() if not word.startswith("-")}


@pytest.mark.parametrize("executor", EMULATED, ids=[each.name for each in EMULATED])
def test_each_rule_is_settled_as_the_table_says(executor) -> None:
    need_for(executor)
    asked = expected_of(executor.name)
    assert {rule.name: measure(executor, rule) for rule in RULES if rule.name in asked} == asked


def test_each_rule_of_msrs_is_settled_by_kvm_as_the_table_says() -> None:
    need("kvm", not Kvm().missing(), "a /dev/kvm this user may open, on Linux 5.10 or newer")
    asked = expected_of("kvm")
    assert len(asked) == 11
    assert {rule.name: measure_kvm(rule) for rule in (*RULES, *KVM_RULES) if rule.name in asked} == asked


def test_the_handler_reads_each_exit_as_the_access_that_the_table_says(tmp_path: Path) -> None:
    machine = handler(tmp_path)
    asked = expected_of("handler")
    assert len(asked) == 16
    assert {rule.name: measure_handler(machine, rule) for rule in RULES if rule.name in asked} == asked


def test_each_access_of_a_rule_has_an_outcome_on_each_processor_that_has_the_rule() -> None:
    for rule in RULES:
        assert {len(rule.vmx), len(rule.svm)} in ({0, len(rule.accesses)}, {len(rule.accesses)})
    for rule in (*RULES, *KVM_RULES):
        assert {len(rule.svm), len(rule.kvm), len(rule.segments)} <= {0, len(rule.accesses)}
        assert all(why_not(rule, name) in ("", *NOT_APPLICABLE) for name in EXECUTORS)
    assert len({rule.name for rule in (*RULES, *KVM_RULES)}) == len(RULES) + len(KVM_RULES)
    used = {why_not(rule, name) for rule in (*RULES, *KVM_RULES) for name in EXECUTORS} - {""}
    assert used == set(NOT_APPLICABLE)
