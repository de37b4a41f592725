"""Test results as JUnit XML, which continuous-integration services show beside a build.

The form is the one that Jenkins, GitLab and GitHub actions read: ``testsuites`` of ``testsuite`` of ``testcase``, which
has a ``failure`` (what was expected did not happen) or an ``error`` (it could not be tried).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from policyc.reports.cells import safe


class Case(NamedTuple):
    """One result. line: of the file that the suite is named after; 0 for none. failure: what went wrong, empty where
    nothing did; broken: it could not be tried."""

    name: str
    line: int
    failure: str = ""
    broken: bool = False


class Suite(NamedTuple):
    """The results of one file."""

    file: str
    cases: tuple[Case, ...]


def document(suites: Sequence[Suite]) -> str:
    """The XML text with its newline."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites{_counts([c for s in suites for c in s.cases])}>"]
    for suite in suites:
        lines.append(f"  <testsuite name={_quoted(suite.file)}{_counts(suite.cases)}>")
        for case in suite.cases:
            line = f" line={_quoted(str(case.line))}" if case.line else ""
            head = f"    <testcase classname={_quoted(suite.file)} name={_quoted(case.name)} file={_quoted(suite.file)}{line}"
            if not case.failure:
                lines.append(f"{head}/>")
                continue
            kind = "error" if case.broken else "failure"
            first = case.failure.partition("\n")[0]
            lines.append(f"{head}>")
            lines.append(f"      <{kind} message={_quoted(first)}>{_text(case.failure)}</{kind}>")
            lines.append("    </testcase>")
        lines.append("  </testsuite>")
    lines.append("</testsuites>")
    return "\n".join(lines) + "\n"


def _counts(cases: Sequence[Case]) -> str:
    failures = sum(bool(each.failure) and not each.broken for each in cases)
    errors = sum(bool(each.failure) and each.broken for each in cases)
    return f' tests="{len(cases)}" failures="{failures}" errors="{errors}"'


def _quoted(words: str) -> str:
    return f'"{_text(words)}"'


def _text(words: str) -> str:
    """Characters that XML 1.0 cannot hold are spelt as escapes."""
    lines = [safe(each) for each in words.split("\n")]
    return "\n".join(lines).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
