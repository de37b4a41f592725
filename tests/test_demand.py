"""A tool that is demanded and absent fails a test; one that is not demanded skips it."""

from __future__ import annotations

import pytest

from tests.demand import need

HOW = "apt-get install bochs"


def test_what_is_present_is_never_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLICYC_DEMAND", "bochs")
    need("bochs", True, HOW)


def test_an_absent_tool_skips_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLICYC_DEMAND", "cc")
    with pytest.raises(pytest.skip.Exception, match="needs bochs: apt-get install bochs"):
        need("bochs", False, HOW)


def test_a_demanded_tool_that_is_absent_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLICYC_DEMAND", "cc, bochs")
    with pytest.raises(pytest.fail.Exception, match="bochs is demanded"):
        need("bochs", False, HOW)


def test_a_demand_that_no_test_knows_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLICYC_DEMAND", "bosch")
    with pytest.raises(pytest.fail.Exception, match="POLICYC_DEMAND names bosch"):
        need("bochs", False, HOW)
