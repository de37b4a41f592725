"""The forms that programs read: one line, workflow commands, JSON."""

from __future__ import annotations

import json
from io import StringIO

import pytest

from policyc.reports import concise, github, jsonform, sarif
from policyc.reports.colour import wanted
from policyc.vocabulary.diagnostic import INFO, WARNING, Label
from policyc.vocabulary.span import Source, Span
from tests.reports.marked import at, found, replace

SOURCE = Source("a,b:c.pol", "language 1\nallow io 0x60\n")
PLACE = at(SOURCE, "0x60", 2, "here")
FOUND = found(
    "E032", "100% wrong\nreally", PLACE, notes=("n",), helps=("h",), fixes=(replace(PLACE, "0x61", "write 0x61"),)
)


def test_concise_is_one_line() -> None:
    assert concise.line(FOUND) == "a,b:c.pol:2:10: error[E032] unknown-port: 100% wrong\\x0areally"


def test_concise_without_a_place() -> None:
    assert concise.line(found("T513", "m", None, severity=WARNING)) == "policyc: warning[T513] target-left-out: m"


def test_workflow_commands_escape_what_they_would_split_at() -> None:
    assert github.line(FOUND) == (
        "::error file=a%2Cb%3Ac.pol,line=2,endLine=2,col=10,endColumn=13,title=E032 unknown-port"
        "::100%25 wrong%0Areally%0Anote: n%0Ahelp: h"
    )


def test_workflow_commands_know_notices_and_places_over_lines() -> None:
    got = github.line(found("Y712", "m", Label(Span(SOURCE, 0, 16)), severity=INFO))
    assert got == "::notice file=a%2Cb%3Ac.pol,line=1,endLine=2,title=Y712 named-range::m"


def test_json_gives_places_in_lines_and_offsets() -> None:
    document = json.loads(jsonform.document({"diagnostics": jsonform.diagnostics([FOUND])}))
    assert list(document) == ["format_version", "diagnostics"]
    assert document["format_version"] == 1
    (got,) = document["diagnostics"]
    place = {
        "file": "a,b:c.pol",
        "start": {"line": 2, "column": 10, "offset": 20},
        "end": {"line": 2, "column": 14, "offset": 24},
    }
    assert got["primary"] == {**place, "text": "here"}
    assert got["fixes"] == [{"title": "write 0x61", "safe": False, "edits": [{**place, "text": "0x61"}]}]
    assert (got["code"], got["slug"], got["severity"]) == ("E032", "unknown-port", "error")
    assert SOURCE.text[20:24] == "0x60"


def test_sarif_gives_regions_fixes_and_each_rule_once() -> None:
    point = found("Y701", "m", Label(Span(SOURCE, 0, 0)), PLACE, severity=INFO)
    log = json.loads(sarif.document([FOUND, point, FOUND]))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert [each["id"] for each in run["tool"]["driver"]["rules"]] == ["E032", "Y701"]
    assert [(each["ruleId"], each["ruleIndex"], each["level"]) for each in run["results"]] == [
        ("E032", 0, "error"),
        ("Y701", 1, "note"),
        ("E032", 0, "error"),
    ]
    region = {"startLine": 2, "startColumn": 10, "endLine": 2, "endColumn": 14}
    where = {"artifactLocation": {"uri": "a%2Cb%3Ac.pol"}, "region": region}
    first, second, _ = run["results"]
    assert first["locations"] == [{"physicalLocation": where, "message": {"text": "here"}}]
    assert first["fixes"][0]["artifactChanges"] == [
        {
            "artifactLocation": where["artifactLocation"],
            "replacements": [{"deletedRegion": region, "insertedContent": {"text": "0x61"}}],
        }
    ]
    assert first["message"]["text"] == "100% wrong\nreally\nnote: n\nhelp: h"
    assert second["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1,
    }  # fmt: skip
    assert second["relatedLocations"][0]["id"] == 1


def test_sarif_of_nothing_is_a_clean_run() -> None:
    (run,) = json.loads(sarif.document([]))["runs"]
    assert run["results"] == []


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("choice", "environment", "terminal", "pipe"),
    [
        ("auto", {}, True, False),
        ("auto", {"TERM": "dumb"}, False, False),
        ("auto", {"NO_COLOR": "1"}, False, False),
        ("auto", {"NO_COLOR": ""}, True, False),
        ("auto", {"FORCE_COLOR": "1"}, True, True),
        ("auto", {"FORCE_COLOR": "0"}, True, False),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ("always", {"NO_COLOR": "1"}, True, True),
        ("never", {"FORCE_COLOR": "1"}, False, False),
    ],
)
def test_when_to_colour(choice: str, environment: dict[str, str], terminal: bool, pipe: bool) -> None:
    assert (wanted(Terminal(), choice, environment), wanted(StringIO(), choice, environment)) == (terminal, pipe)
