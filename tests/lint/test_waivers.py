"""Which findings a comment accepts, until when, and what is said of the comments."""

from __future__ import annotations

import pytest

from policyc.lint.settings import Settings
from policyc.lint.waivers import Covering, complaints
from policyc.syntax.parser import parse
from policyc.syntax.tree import Name, Waiver
from policyc.vocabulary.diagnostic import ERROR
from policyc.vocabulary.span import Source, Span
from tests.lint.lint import HEAD, TODAY, codes, lint

BASE = HEAD + "default msr exit\ndefault io exit\nallow msr { IA32_FS_BASE, IA32_GS_BASE, IA32_KERNEL_GS_BASE }\n"
RULE = "allow msr IA32_FEATURE_CONTROL"


def policy(comment: str, rule: str = RULE) -> str:
    return f"{BASE}# policyc: {comment}\n{rule}\n"


@pytest.mark.parametrize("code", ["S401", "feature-control"])
def test_a_waiver_accepts_by_code_and_by_name(code: str) -> None:
    result = lint(policy(f'ignore[{code}] reason="locked"'))
    assert [each.code for each in result.left if each.severity != "info"] == []
    assert [(each.diagnostic.code, each.waiver.reason) for each in result.waived] == [("S401", "locked")]


def test_a_waiver_behind_the_statement_accepts_too() -> None:
    assert codes(BASE + RULE + ' # policyc: ignore[S401] reason="locked"') == []


def test_a_file_waiver_accepts_everywhere() -> None:
    assert codes(f'# policyc: file-ignore[S401] reason="locked"\n{BASE}{RULE}\n') == []


def test_a_waiver_covers_its_own_statement_alone() -> None:
    text = policy('ignore[S401] reason="locked"') + "# Here too.\nallow msr IA32_BIOS_UPDT_TRIG write\n"
    assert codes(text) == ["S403"]


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("ignore[S401]", ["S401", "X902"]),
        ('ignore[S401] reason=""', ["S401", "X902"]),
        ('ignore[S401] reason="locked" until=2026-11-23', ["S401", "X903"]),
        ('ignore[S401] reason="locked" until=2026-11-24', []),
        ('ignore[S4O1] reason="locked"', ["S401", "X904"]),
        ('ignore[S401, S403] reason="locked"', ["X901"]),
        ('ignore[S403] reason="locked"', ["S401", "X901"]),
    ],
)
def test_what_a_waiver_must_be(comment: str, expected: list[str]) -> None:
    assert sorted(codes(policy(comment))) == expected


def test_a_style_finding_may_be_waived_without_a_reason() -> None:
    assert codes(policy("ignore[R606]", "let io GATE = 0x510")) == []


def test_an_unknown_code_is_answered_by_the_nearest() -> None:
    (each,) = [each for each in lint(policy('ignore[feature-controll] reason="x"')).left if each.code == "X904"]
    assert each.helps == ("did you mean `feature-control`?",)


def test_an_expired_waiver_is_an_error_where_waivers_are_strict() -> None:
    text = policy('ignore[S401] reason="locked" until=2020-01-01')
    strict = lint(text, Settings(strict_waivers=True)).left
    assert [each.severity for each in strict if each.code == "X903"] == [ERROR]


def test_what_the_settings_forbid_is_not_waived() -> None:
    text = policy('ignore[S401] reason="locked"')
    assert sorted(codes(text, Settings(forbid_waivers=("S4",)))) == ["S401", "X905"]


def test_a_waiver_of_a_rule_that_does_not_run_may_stay() -> None:
    """It may be of use under other settings: another threat, another selection."""
    assert codes(policy('ignore[S401] reason="locked"'), Settings(select=("P",))) == []
    assert codes(policy('ignore[S401] reason="locked"'), Settings(threat="none")) == []


def test_compile_errors_cannot_be_waived() -> None:
    result = lint(policy('ignore[S401] reason="x"', "allow msr IA32_EFFER"))
    assert not result.compile
    assert [each.code for each in result.left] == ["E031"]


def test_without_waivers_everything_is_told() -> None:
    result = lint(policy('ignore[S401] reason="locked"'), waive=False)
    assert "S401" in {each.code for each in result.left}
    assert result.waived == []


def test_the_lines_that_waivers_cover_are_those_that_each_of_them_says() -> None:
    """Among waivers of one line, of a few and of the whole file, in their order."""
    source = Source("vm.pol", "\n" * 12)
    covers = [(3, 3), None, (2, 6), (5, 9), (9, 9), (5, 9), (12, 12)]
    waivers = [Waiver((Name("S401", Span(source, at, at)),), "", None, None, each, Span(source, at, at))
               for at, each in enumerate(covers)]  # fmt: skip
    covering = Covering(waivers)
    for line in range(1, 15):
        expected = [each for each in waivers if each.covers is None or each.covers[0] <= line <= each.covers[1]]
        assert list(covering.of(line)) == expected
    assert list(Covering(()).of(7)) == []


def test_a_complaint_about_a_file_s_waiver_silences_none_about_another_s() -> None:
    """Both stand at the same place of their files."""
    texts = ["# policyc: ignore[S401]\nallow msr 0x1\n", '# policyc: ignore[S401] reason="x"\nallow msr 0x1\n']
    waivers = [each for at, text in enumerate(texts) for each in parse(Source(f"{at}.pol", text))[0].waivers]
    told = complaints(waivers, Settings(), TODAY, set(), ["S401"])
    assert [(each.code, each.primary.span.source.name) for each in told if each.primary] == [
        ("X902", "0.pol"), ("X901", "1.pol"),
    ]  # fmt: skip
