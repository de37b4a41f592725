"""R rules: what they say of rules that do nothing, and what they must not say."""

from __future__ import annotations

import pytest

from policyc.lint.settings import Settings
from policyc.vocabulary.diagnostic import ERROR, WARNING
from tests.growth import seconds
from tests.lint.lint import CLOSED, OPEN, found, lint


class TestUnreachable:
    def test_a_dead_intercept_under_an_allow_is_an_error(self) -> None:
        (each,) = found(OPEN + "intercept msr 0x1d9 write -> inject(gp)\nallow msr 0x0..0x1fff", "R601")
        assert each.severity == ERROR
        assert each.secondary[0].span.line == 5

    def test_a_dead_allow_is_a_warning(self) -> None:
        (each,) = found(CLOSED + "# a\nallow io 0x60\noverride intercept io 0x60 -> kill", "R601")
        assert each.severity == WARNING

    @pytest.mark.parametrize(
        "rules",
        [
            "intercept io 0x60..0x64\nallow io 0x60",  # An exception, as meant.
            "intercept io 0x60\nprofile open {\n    allow io 0x60\n}",  # Alive in the base policy.
            "intercept io 0x60 when value == 1 -> kill\nintercept io 0x60",  # Asked first, then the other.
            "intercept io 0x60 on vcpu 0 -> kill\nallow io 0x60 on vcpu 1",  # Each for its own vCPU.
        ],
    )
    def test_a_rule_that_decides_something_is_not_dead(self, rules: str) -> None:
        assert found(OPEN + rules, "R601") == []


class TestDuplicates:
    def test_the_smaller_of_two_is_deleted_with_its_comment(self) -> None:
        (each,) = found(OPEN + "## Keyboard.\nintercept io 0x60\nintercept io 0x60..0x64\n", "R604")
        assert each.fixes[0].safe
        assert each.fixes[0].edits[0].span.text == "## Keyboard.\nintercept io 0x60\n"

    @pytest.mark.parametrize(
        "rules",
        [
            "intercept io 0x60 in\nintercept io 0x60..0x64 out",
            "intercept io 0x60 -> count, exit\noverride intercept io 0x60..0x64",
            "intercept io 0x60\nprofile p {\n    intercept io 0x60..0x64\n}",
            "intercept io 0x60 on vcpu 0\nintercept io 0x60..0x64 on vcpu 1",
        ],
    )
    def test_rules_that_differ_are_no_duplicates(self, rules: str) -> None:
        assert found(OPEN + rules, "R604") == []

    def test_of_two_equal_rules_one_is_kept(self) -> None:
        assert len(found(OPEN + "intercept io 0x60\nintercept io 0x60\n", "R604")) == 1


class TestUnused:
    @pytest.mark.parametrize(
        "use",
        [
            "intercept io 0x61 except GATE",
            "let io ALL = { GATE, 0x60 }\nintercept io ALL",
            "never allow io GATE out\nintercept io GATE",
            'intercept io GATE\ntest "t" {\n    in GATE width 1 => exit\n}',
            "profile p {\n    intercept io GATE\n}",
        ],
    )
    def test_every_way_to_use_a_name_counts(self, use: str) -> None:
        assert found(OPEN + "let io GATE = 0x510\n" + use, "R606") == []

    def test_a_constant_in_a_condition_is_used(self) -> None:
        assert found(OPEN + "let const OFF = 0x2000\nintercept io 0x604 out when value == OFF -> kill", "R606") == []

    def test_a_definition_does_not_use_itself(self) -> None:
        assert len(found(OPEN + "let io GATE = 0x510", "R606")) == 1

    def test_an_import_with_rules_is_used(self) -> None:
        assert found('language 1\ntarget vmx\nimport "std/acpi_q35.pol" as acpi\ndefault passthrough', "R607") == []


def test_an_assertion_about_a_window_is_no_tautology() -> None:
    assert found(OPEN + "intercept msr 0x10\nassert intercepted msr { 0x10, 0x40000000 }", "R609") == []
    assert len(found(OPEN + "assert intercepted msr 0x40000000", "R609")) == 1


def test_an_override_of_another_file_s_rule_is_needed() -> None:
    assert found(OPEN + "intercept io 0x60..0x6f\noverride intercept io 0x64 -> kill", "R612") == []
    assert found(OPEN + "allow io 0x60..0x6f\noverride intercept io 0x64 in -> kill", "R612") == []


class TestDevices:
    @pytest.mark.parametrize("device", ["COM1", "PIC1", "PIT", "IDE0", "CMOS", "DMA1", "FDC", "EGA"])
    def test_a_device_without_its_last_port_is_told(self, device: str) -> None:
        assert found(OPEN + f"let io LESS = {device} except {last(device):#x}\nintercept io LESS", "S420")
        assert not found(OPEN + f"intercept io {device}", "S420")

    def test_a_device_that_no_rule_names_is_nobody_s_mistake(self) -> None:
        assert not found(CLOSED, "S420")

    def test_a_single_register_of_a_closed_device_may_open(self) -> None:
        assert found(CLOSED + "# Status.\nallow io COM1_LSR in", "S420") == []


def last(device: str) -> int:
    from tests.lint.lint import DATABASE

    return (DATABASE.port(device) or ((0, 0),))[-1][1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0xc000 len 0x3f", 1), ("0xc000 len 0x40", 0), ("0xc001 len 0x3f", 0), ("0x3f8 len 7", 1), ("0x60 len 3", 0)],
)
def test_which_lengths_look_like_an_end(text: str, expected: int) -> None:
    assert len(found(OPEN + f"intercept io {text}", "S428")) == expected


def test_a_crowded_policy_is_looked_at_in_bounded_time() -> None:
    """2,000 rules that all overlap: two million pairs."""
    rules = "\n".join("intercept msr 0x0..0x1fff write" for _ in range(2000))

    def crowded() -> None:
        found = {each.code for each in lint(OPEN + rules, Settings(select=("R",))).left}
        assert "R604" in found
        assert "R603" not in found

    assert seconds(crowded, 10) < 10
