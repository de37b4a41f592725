"""docs/emulators.md says of each rule of the hardware which executor agrees with the manual: measured here."""

from __future__ import annotations

from pathlib import Path

import pytest

from policyc.verify.emulated import EMULATED
from tests.verify.rules import KNOWN, RULES, expected_table, letters, measure
from tests.verify.subjects import need_for

PAGE = Path(__file__).parents[2] / "docs" / "emulators.md"
BEGIN, END = "<!-- made by tests/verify/rules.py: begin -->\n", "<!-- end -->\n"


def test_the_table_of_the_page_is_the_one_that_the_rules_make() -> None:
    """To make it anew: python -c 'from tests.verify.rules import *; print(expected_table())'"""
    page = PAGE.read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0] == expected_table()


@pytest.mark.parametrize("executor", EMULATED, ids=[each.name for each in EMULATED])
def test_each_rule_is_settled_as_the_table_says(executor) -> None:
    need_for(executor)
    expected = {
        rule.name: "differs" if (rule.name, executor.name) in KNOWN else "agreed"
        for rule in RULES
        if letters(rule, executor.target)
    }
    assert {rule.name: measure(executor, rule) for rule in RULES if letters(rule, executor.target)} == expected


def test_each_access_of_a_rule_has_an_outcome_on_each_processor_that_has_the_rule() -> None:
    for rule in RULES:
        assert len(rule.vmx) == len(rule.accesses)
        assert len(rule.svm) in (0, len(rule.accesses))
    assert len({rule.name for rule in RULES}) == len(RULES)
