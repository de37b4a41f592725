"""docs/lint.md: its tables are what lint finds today (POLICYC_UPDATE=1 writes them), and the examples are clean."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from policyc.cli.lintconfig import Config, read
from policyc.lint.registry import codes as rule_codes
from policyc.lint.settings import Settings
from policyc.review import Reviewed, imported, review, verdict
from tests.corpus.test_known_bad import BAD, LINTED, REPORTED, RIGHT
from tests.lint.lint import DATABASE, TODAY

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "lint.md"
UPDATE = os.environ.get("POLICYC_UPDATE", "") not in ("", "0")


@pytest.fixture(scope="module")
def config() -> Config:
    return read(str(EXAMPLES / "policyc.toml"), whole=True)


def reviews(settings: Config | None) -> list[Reviewed]:
    """Every example that is a policy of its own, under the settings of the file, or under none."""
    paths = sorted(str(path) for path in EXAMPLES.rglob("*.pol"))
    found = [review(path, settings.of(path) if settings else Settings(), database=DATABASE) for path in paths]
    parts = imported(found)
    return [each for each in found if each.path not in parts]


def test_the_examples_are_clean_by_their_waivers_and_settings(config: Config) -> None:
    left = verdict(reviews(config), TODAY).left
    assert [(each.code, each.message) for each in left if each.severity != "info"] == []


def examples(config: Config) -> list[str]:
    rows = ["| policy | found | stands because |", "|---|---|---|"]
    real = [each for each in reviews(None) if Path(each.path).parent.name in ("hypervisors", "jailhouse")]
    waived = {each.path: verdict([each], TODAY).waived for each in real}
    for each in real:
        name = Path(each.path).relative_to(EXAMPLES).as_posix()
        codes = sorted({one.code for one in each.found if one.severity != "info"})
        why = {f'"{one.waiver.reason}"': None for one in waived[each.path]}
        settings = config.of(each.path)
        if settings.threat != "guest-untrusted":
            why[f"the threat is {settings.threat}"] = None
        if codes:
            rows.append(f"| [{name}](../examples/{name}) | {' '.join(codes)} | {'; '.join(why)} |")
        else:
            rows.append(f"| [{name}](../examples/{name}) | nothing | |")
    return rows


def known_bad() -> list[str]:
    rows = ["| mistake | where | policyc |", "|---|---|---|"]
    for name, bad in BAD.items():
        if name in REPORTED:
            said = f"refuses it: {REPORTED[name].code}"
        elif name in LINTED:
            code = LINTED[name][0]
            said = f"lint: [{code}](rules/{code}.md)"
        else:
            assert name in RIGHT
            said = "does not make it; a test holds it"
        rows.append(f"| {name} | {bad['origin'].split(';')[0]} | {said} |")
    return rows


def test_the_tables_are_what_lint_finds(config: Config) -> None:
    text = PAGE.read_text(encoding="utf-8")
    wanted = text
    for name, rows in (("examples", examples(config)), ("known_bad", known_bad())):
        body = "\n".join(rows)
        made = f"<!-- table: {name} -->\n\n{body}\n\n<!-- end -->"
        wanted, count = re.subn(
            rf"<!-- table: {name} -->.*?<!-- end -->", lambda _, made=made: made, wanted, flags=re.S
        )
        assert count == 1
    if UPDATE:
        PAGE.write_text(wanted, encoding="utf-8")
    assert text == wanted, "stale: POLICYC_UPDATE=1 pytest tests/lint/test_page.py"


def test_what_the_page_calls_true_is_found() -> None:
    """The paragraph below the table, finding by finding."""
    found = {(Path(each.path).name, one.code): one.message for each in reviews(None) for one in each.found}
    assert "IA32_MC_CTL2[0] (0x280)" in found["acrn.pol", "S413"]
    assert "IA32_FEATURE_CONTROL" in found["openbsd_vmm.pol", "S401"]
    assert "IA32_APIC_BASE" in found["x86_vcpu.pol", "S411"]
    assert ("tgoskits_vmx.pol", "S411") not in found
    assert "ends at 0xc03e" in found["e1000_demo.pol", "S428"]
    assert "IA32_FS_BASE" in found["haxm.pol", "P301"]
    assert "0x493" in found["acrn.pol", "S402"]
    assert "0x492" in found["noirvisor_vmx.pol", "S402"]


def test_what_is_left_out_is_said_to_be_and_is_left_out() -> None:
    """Every code of the first plan is a rule, or the page says why it is none."""
    section = PAGE.read_text(encoding="utf-8").partition("## What it does not look for")[2].partition("\n## ")[0]
    left_out = set(re.findall(r"\*\*([PST]\d{3})", section))
    numbers = {"P": (301, 312), "S": (401, 428), "T": (501, 515), "R": (601, 613), "Y": (701, 712), "X": (900, 905)}
    planned = {f"{family}{number}" for family, (lo, hi) in numbers.items() for number in range(lo, hi + 1)}
    assert planned - set(rule_codes()) == left_out
    assert not left_out & set(rule_codes())
