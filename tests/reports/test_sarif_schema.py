"""SARIF as `lint` writes it, held against the schema of OASIS (its structure; sarif-2.1.0.json says what is left out)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from policyc.cli import frame

HERE = Path(__file__).parent
SCHEMA = json.loads((HERE / "sarif-2.1.0.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft4Validator(SCHEMA)
EXAMPLES = HERE.parents[1] / "examples"


@pytest.fixture(scope="module")
def log(request: pytest.FixtureRequest) -> dict[str, Any]:
    """All examples, without their settings: hundreds of findings of every kind, some of them waived."""
    from contextlib import redirect_stdout
    from io import StringIO

    out = StringIO()
    with redirect_stdout(out):
        frame.run(["lint", str(EXAMPLES), "--no-config", "--extend-select", "ALL", "--format", "sarif"])
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_a_log_is_what_the_schema_allows(log: dict[str, Any]) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(log)] == []
    assert len(log["runs"][0]["results"]) > 300


def test_the_schema_refuses_what_is_wrong(log: dict[str, Any]) -> None:
    for wrong in ({"level": "fatal"}, {"nonsense": 1}, {"ruleIndex": -2}, {"message": {}}):
        run = log["runs"][0]
        broken = {**log, "runs": [{**run, "results": [{**run["results"][0], **wrong}]}]}
        assert list(VALIDATOR.iter_errors(broken))


def test_no_set_in_a_message_can_be_taken_for_an_argument(log: dict[str, Any]) -> None:
    """SARIF 2.1.0, 3.11.5: a brace that is meant is written twice, in every message; the schema cannot say it."""
    texts: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            if "text" in value:
                texts.append(value["text"])
            for name, each in value.items():
                if name != "insertedContent":  # That is text of a file, and no message.
                    collect(each)
        elif isinstance(value, list):
            for each in value:
                collect(each)

    collect(log)
    assert sum("{{ 0x" in each for each in texts) > 20
    assert not [each for each in texts if set("{}") & set(each.replace("{{", "").replace("}}", ""))]


def test_every_result_names_a_rule_that_is_described(log: dict[str, Any]) -> None:
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    described = [rule for rule in rules if rule["id"][0] not in "E"]
    assert all(rule["fullDescription"]["text"] and rule["help"]["text"] for rule in described)
    assert all("security" in rule["properties"]["tags"] for rule in described if rule["id"][0] == "S")


def test_what_is_waived_is_suppressed_with_its_reason(log: dict[str, Any]) -> None:
    waived = [each["suppressions"] for each in log["runs"][0]["results"] if "suppressions" in each]
    assert len(waived) > 100
    assert all(
        kind == "inSource" and reason
        for ((kind, reason),) in ([tuple(one.values()) for one in each] for each in waived)
    )
