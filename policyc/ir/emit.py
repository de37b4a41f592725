"""A resolved policy as JSON text. The bytes are a function of the policy; one statement a line, so that ``diff`` helps."""

from __future__ import annotations

import json
from typing import Any

from policyc.semantics.policy import (
    LAYER_OVERRIDE,
    VECTORS,
    Action,
    Actions,
    Assertion,
    Condition,
    Default,
    Defaults,
    Never,
    Policy,
    Profile,
    Rule,
    Test,
    TestCase,
)
from policyc.semantics.wording import access_word, clause, widths_of
from policyc.vocabulary.access import IO, WIDTHS
from policyc.vocabulary.span import Span

FORMAT_VERSION = 1
LAST_COLUMN = 255
"""Columns beyond it are written as it: a hostile document shall not ask for long lines."""

_VECTOR_NAMES = {number: name for name, number in VECTORS.items()}
_MASK = (1 << 64) - 1


def emit(policy: Policy) -> str:
    """The document, ASCII only. ValueError for columns that no statement of the language could name."""
    members: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "policy": policy.name,
        "language": policy.language,
        "database": policy.database_version,
        "modules": [{"path": each.path} for each in policy.modules],
        "targets": [{"name": name, "at": place(span)} for name, span in policy.targets],
        "defaults": _defaults(policy.defaults),
        "profiles": [_profile(each) for each in policy.profiles],
        "rules": [_rule(each) for each in policy.rules],
        "asserts": [_assertion(each) for each in policy.asserts],
        "nevers": [_never(each) for each in policy.nevers],
        "tests": [_test(each) for each in policy.tests],
    }
    return "{\n" + ",\n".join(f" {_line(key)}: {_member(value)}" for key, value in members.items()) + "\n}\n"


def _member(value: object) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"  {_line(each)}" for each in value) + "\n ]"
    return _line(value)


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False)


def place(span: Span) -> dict[str, Any]:
    """Where a statement stands and what it says, line ends as LF."""
    line, column = span.source.position(span.start)
    text = _lf(span.text)
    return {"line": line, "column": min(column, LAST_COLUMN), "text": text}


def _lf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _rule(rule: Rule) -> dict[str, Any]:
    said: dict[str, Any] = {"verb": rule.verb, **_accesses(rule.space, rule.ranges, rule.columns)}
    if rule.layer == LAYER_OVERRIDE:
        said["override"] = True
    if rule.conditions:
        said["when"] = [_condition(each) for each in rule.conditions]
    if rule.vcpus is not None:
        said["vcpus"] = rule.vcpus
    if rule.traps:
        said["actions"] = _actions(rule.actions)
    for key, value in (("label", rule.label), ("profile", rule.profile), ("module", rule.module), ("doc", rule.doc)):
        if value:
            said[key] = value
    start = len(_lf(rule.span.source.text[rule.statement.start : rule.span.start]))
    said["at"] = {**place(rule.statement), "addresses": [start, start + len(_lf(rule.span.text))]}
    return said


def _accesses(space: str, ranges: object, columns: int) -> dict[str, Any]:
    if clause(columns) is None:
        raise ValueError(f"no access word and widths name the columns {columns:#x}")
    said = {"space": space, "ranges": ranges, "access": access_word(columns)}
    widths = widths_of(columns) if space == IO else ()
    return {**said, "widths": widths} if widths and widths != WIDTHS else said


def _condition(condition: Condition) -> dict[str, Any]:
    said: dict[str, Any] = {"subject": condition.subject}
    if condition.mask != _MASK:
        said["mask"] = hex(condition.mask)
    return {**said, "op": condition.op, "operand": hex(condition.operand)}


def _actions(actions: Actions) -> list[dict[str, Any]]:
    return [_action(each) for each in actions]


def _action(action: Action) -> dict[str, Any]:
    said: dict[str, Any] = {"name": action.name}
    for key, value in action.arguments:
        if key == "vector":
            said[key] = _VECTOR_NAMES[action.number(key)]
        elif key in ("rate", "handler"):
            said[key] = value
        else:
            said[key] = hex(action.number(key))
    return said


def _defaults(defaults: Defaults) -> dict[str, Any]:
    return {
        "msr": _default(defaults.msr),
        "io": _default(defaults.io),
        "outside": {"actions": _actions(defaults.outside), **_maybe(defaults.outside_span)},
    }


def _default(default: Default) -> dict[str, Any]:
    if not default.traps:
        return {"verdict": "passthrough", **_maybe(default.span)}
    return {"verdict": "exit", "actions": _actions(default.actions), **_maybe(default.span)}


def _maybe(span: Span | None) -> dict[str, Any]:
    return {} if span is None else {"at": place(span)}


def _profile(profile: Profile) -> dict[str, Any]:
    said: dict[str, Any] = {"name": profile.name}
    if profile.parents:
        said["extends"] = profile.parents
    said["defaults"] = _defaults(profile.defaults)
    if profile.doc:
        said["doc"] = profile.doc
    return {**said, "at": place(profile.span)}


def _assertion(claim: Assertion) -> dict[str, Any]:
    said: dict[str, Any] = {"negated": True} if claim.negated else {}
    said |= _accesses(claim.space, claim.ranges, claim.columns)
    if claim.expected is not None:
        said["expected"] = _actions(claim.expected)
    return {**said, **_owner(claim.profile, claim.module), "at": place(claim.span)}


def _never(claim: Never) -> dict[str, Any]:
    said = _accesses(claim.space, claim.ranges, claim.columns)
    return {**said, **_owner(claim.profile, claim.module), "at": place(claim.span)}


def _owner(profile: str | None, module: int) -> dict[str, Any]:
    said: dict[str, Any] = {"profile": profile} if profile is not None else {}
    return {**said, "module": module} if module else said


def _test(test: Test) -> dict[str, Any]:
    return {"name": test.name, "cases": [_case(each) for each in test.cases], "at": place(test.span)}


def _case(case: TestCase) -> dict[str, Any]:
    said: dict[str, Any] = {"kind": case.kind, "address": case.address}
    if case.width != 8:
        said["width"] = case.width
    if case.value:
        said["value"] = hex(case.value)
    if case.cpl:
        said["cpl"] = case.cpl
    if case.vcpu is not None:
        said["vcpu"] = case.vcpu
    if case.profile is not None:
        said["profile"] = case.profile
    return {**said, "outcome": _actions(case.outcome), "at": place(case.span)}
