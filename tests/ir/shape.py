"""Policies compared by what they say and where: spans by line, column and text, sources by nothing."""

from __future__ import annotations

from typing import Any

from policyc.semantics.policy import Policy
from policyc.vocabulary.span import Source, Span


def shape(value: Any) -> Any:
    if isinstance(value, Span):
        return (value.line, value.column, value.text.replace("\r\n", "\n").replace("\r", "\n"))
    if isinstance(value, Source):
        return None
    if hasattr(value, "_asdict"):
        return {key: shape(each) for key, each in value._asdict().items()}
    return [shape(each) for each in value] if isinstance(value, tuple) else value


def said(policy: Policy) -> Any:
    """All of it but the names of files as messages show them, which depend on how a command names the policy."""
    return shape(policy._replace(modules=tuple(each._replace(name="") for each in policy.modules)))
