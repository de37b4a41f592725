"""The contract of every rule: its policy to avoid is found, the one to prefer is not, and its page is what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policyc.lint import pages, registry
from policyc.lint.generate import FOLDER
from policyc.lint.generate import pages as generated
from policyc.lint.rule import GUEST, MONITOR, NONE, THREATS
from policyc.lint.settings import Settings
from policyc.vocabulary.codes import CODES
from policyc.vocabulary.diagnostic import ERROR
from tests.lint.lint import CLOSED, OPEN, found, lint

CODES_OF_RULES = registry.codes()
SETTINGS = {"X905": Settings(forbid_waivers=("S403",))}


def test_the_table_lists_the_folder_in_order() -> None:
    folder = Path(registry.__file__).parent / "rules"
    files = sorted(each.stem for each in folder.glob("*.py") if each.stem != "__init__")
    assert list(registry.FILES) == files


def test_every_code_that_can_be_waived_has_a_rule() -> None:
    assert sorted(CODES_OF_RULES) == sorted(code for code in CODES if code[0] not in "DE")


@pytest.mark.parametrize("code", CODES_OF_RULES)
def test_a_rule_says_what_the_table_of_codes_says(code: str) -> None:
    registered = registry.load(code)
    rule = registered.rule
    assert (rule.code, rule.slug, rule.severity) == (code, CODES[code].slug, CODES[code].severity)
    assert rule.threats <= set(THREATS)
    assert rule.by_compiler == (registered.check is None)
    assert rule.why.endswith(".")
    assert len(rule.source) > 8


@pytest.mark.parametrize("code", CODES_OF_RULES)
def test_the_policy_to_avoid_is_found_and_the_one_to_prefer_is_not(code: str) -> None:
    rule = registry.load(code).rule
    assert found(rule.avoid, code, SETTINGS.get(code))
    assert not found(rule.prefer, code, SETTINGS.get(code))


@pytest.mark.parametrize("code", CODES_OF_RULES)
def test_the_policies_of_a_page_compile_unless_it_says_otherwise(code: str) -> None:
    rule = registry.load(code).rule
    bad = [each.code for each in lint(rule.avoid).left if each.severity == ERROR and each.code[0] == "E"]
    assert bad == []
    assert lint(rule.avoid).compile != pages.refuses(rule)
    assert lint(rule.prefer).compile


@pytest.mark.parametrize("code", [code for code in CODES_OF_RULES if code[0] not in "XT"])
def test_a_finding_has_a_place_in_the_policy_and_a_remedy(code: str) -> None:
    for each in found(registry.load(code).rule.avoid, code):
        assert each.primary is not None
        assert each.helps or each.fixes or code in ("R613", "Y712")
        assert len(each.notes) <= 2
        assert len(each.helps) <= 2
        assert not each.message.endswith(".")


@pytest.mark.parametrize("code", [code for code in CODES_OF_RULES if code[0] == "S"])
def test_a_security_rule_can_be_checked_by_a_reader(code: str) -> None:
    """It cites a manual, a data sheet, an advisory, or the source of a hypervisor."""
    source = registry.load(code).rule.source
    cited = r"SDM|APM|CVE-\d{4}-\d+|data sheet|specification|Specification|reference|vmm|\.c\b|\.h\b|ACPI|convention|INTEL-SA"
    assert re.search(cited, source)


def test_the_pages_are_what_the_rules_say() -> None:
    """Stale? python -m policyc.lint.generate"""
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")} == generated()


class TestThreats:
    def test_an_untrusted_guest_is_the_usual_threat(self) -> None:
        assert "S403" in {each.code for each in lint(OPEN).left}

    @pytest.mark.parametrize("threat", [MONITOR, NONE])
    def test_a_guest_that_owns_the_machine_may_change_it(self, threat: str) -> None:
        assert [each.code for each in lint(OPEN, Settings(threat=threat)).left if each.severity != "info"] == []

    @pytest.mark.parametrize("threat", THREATS)
    def test_half_of_pci_configuration_is_an_error_under_every_threat(self, threat: str) -> None:
        (each,) = [
            each for each in lint(OPEN + "intercept io 0xcf8", Settings(threat=threat)).left if each.code == "S408"
        ]
        assert each.severity == ERROR
        assert "0xcf8 exits and 0xcf9..0xcff does not" in each.message

    @pytest.mark.parametrize("threat", [MONITOR, NONE])
    def test_the_reset_control_alone_is_not_half_of_pci(self, threat: str) -> None:
        assert not [
            each for each in lint(OPEN + "intercept io 0xcf9", Settings(threat=threat)).left if each.code == "S408"
        ]

    def test_a_rule_that_is_named_runs_under_every_threat(self) -> None:
        assert found(OPEN, "S403", Settings(threat=NONE))

    def test_the_threat_is_the_guest_of_a_page(self) -> None:
        assert Settings().threat == GUEST


class TestReach:
    """What counts as letting a guest reach hardware."""

    def test_an_exit_that_only_logs_lets_the_access_through(self) -> None:
        assert found(OPEN + "intercept msr 0x79 write -> log, passthrough", "S403")

    def test_a_mask_is_somebody_s_decision(self) -> None:
        assert not found(CLOSED + "intercept io CMOS_INDEX out -> mask(and=0x7f)", "S418")

    def test_one_value_that_is_stopped_is_somebody_s_decision(self) -> None:
        text = OPEN + "intercept io 0x64 out when value == 0xfe -> drop\nintercept io { 0xcf9, 0x92, EISA_NMI } -> drop"
        assert not found(text, "S409")

    def test_a_profile_that_opens_is_named(self) -> None:
        (each,) = found(CLOSED + "profile debug {\n    allow msr IA32_DEBUGCTL write\n}", "S404")
        assert each.message.endswith("in profile `debug`")
        assert each.primary is not None
        assert each.primary.span.line == 5

    def test_kvm_stands_between_a_guest_and_the_hardware(self) -> None:
        text = "language 1\ntarget kvm\ndefault passthrough"
        assert [each.code for each in lint(text).left] == []

    def test_amd_registers_are_asked_of_amd_targets_only(self) -> None:
        rules = "default msr exit\ndefault io exit\nallow msr 0xc0010000..0xc0011fff\n"
        assert found("language 1\ntarget svm\n" + rules, "S403")
        assert not found(CLOSED + "allow msr IA32_STAR\n", "S405")  # The K6 has WHCR at the number of LSTAR.


class TestOneMistakeOneReport:
    def test_a_dangerous_allow_is_told_once(self) -> None:
        text = CLOSED + "\nallow msr IA32_FEATURE_CONTROL"
        assert [each.code for each in lint(text).left if each.code[0] == "S"] == ["S401"]

    def test_a_comment_is_no_waiver(self) -> None:
        text = CLOSED + "# It is locked.\nallow msr IA32_FEATURE_CONTROL"
        assert [each.code for each in lint(text).left if each.code[0] == "S"] == ["S401"]
