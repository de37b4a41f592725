"""Workflow commands, which GitHub shows beside the changed lines of a pull request.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions: ``::error file=...,line=...::words``.
"""

from __future__ import annotations

from policyc.vocabulary.diagnostic import Diagnostic

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def line(diagnostic: Diagnostic, file: str = "") -> str:
    """One command, without a newline. file: the one that a finding without a place in a text is about."""
    properties = [f"file={_property(file)}"] if file else []
    if diagnostic.primary is not None:
        source, start, end = diagnostic.primary.span
        line, column = source.position(start)
        last, last_column = source.position(max(start, end - 1))
        properties = [f"file={_property(source.name)}", f"line={line}", f"endLine={last}"]
        if last == line:  # GitHub refuses columns of a place that goes over several lines.
            properties += [f"col={column}", f"endColumn={last_column}"]
    properties.append(f"title={_property(f'{diagnostic.code} {diagnostic.slug}')}")
    said = [diagnostic.message, *(f"note: {each}" for each in diagnostic.notes)]
    said += [f"help: {each}" for each in diagnostic.helps]
    return f"::{_COMMANDS[diagnostic.severity]} {','.join(properties)}::{_data(chr(10).join(said))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
