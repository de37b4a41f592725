"""Holding JSON from outside to its schema, before anything is believed of it.

The part of JSON Schema 2020-12 that policyc's own schemas use; a keyword outside it is an error here, so that no
schema promises what is not checked. tests/bundle compares the answers with those of an independent validator.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "null": type(None),
    "boolean": bool,
}
_WORDLESS = ("$schema", "$defs", "title", "description")


def violation(value: object, schema: Schema) -> str | None:
    """The first thing about a JSON value that its schema forbids, as in ``files[3].size: 7 is below 8``; None if fine."""
    return _Checker(schema).check(value, schema, "")


class _Checker:
    def __init__(self, whole: Schema) -> None:
        self.definitions: Schema = whole.get("$defs", {})

    def check(self, value: object, schema: Schema, at: str) -> str | None:
        for keyword, wanted in schema.items():
            if keyword in _WORDLESS:
                continue
            if keyword == "$ref":
                found = self.check(value, self.definitions[wanted.removeprefix("#/$defs/")], at)
            elif keyword in _INSIDE:
                found = _INSIDE[keyword](self, value, schema, at)
            else:
                told = _PLAIN[keyword](value, wanted)
                found = f"{at or 'the document'}: {told}" if told else None
            if found:
                return found
        return None

    def properties(self, value: object, schema: Schema, at: str) -> str | None:
        """Named members, then all others."""
        if not isinstance(value, dict):
            return None
        known = schema.get("properties", {})
        others = schema.get("additionalProperties")
        for key, member in value.items():
            rule, place = known.get(key, others), f"{at}.{_key(key)}" if at else _key(key)
            found = None if rule is None else self.check(member, rule, place)
            if found:
                return found
        return None

    def items(self, value: object, schema: Schema, at: str) -> str | None:
        """The first items each by its own schema, the rest by one."""
        if not isinstance(value, list):
            return None
        first = schema.get("prefixItems", [])
        rest = schema.get("items")
        for number, item in enumerate(value):
            rule = first[number] if number < len(first) else rest
            found = None if rule is None else self.check(item, rule, f"{at}[{number}]")
            if found:
                return found
        return None


def _type(value: object, wanted: str | list[str]) -> str | None:
    names = [wanted] if isinstance(wanted, str) else wanted
    for name in names:
        if isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool)):
            return None
    return f"{_short(value)} is not {' or '.join(names)}"


def _required(value: object, wanted: list[str]) -> str | None:
    missing = [each for each in wanted if isinstance(value, dict) and each not in value]
    return f'"{missing[0]}" is missing' if missing else None


def _minimum(value: object, wanted: int) -> str | None:
    return f"{_short(value)} is below {wanted}" if isinstance(value, int) and value < wanted else None


def _maximum(value: object, wanted: int) -> str | None:
    return f"{_short(value)} is above {wanted}" if isinstance(value, int) and value > wanted else None


def _pattern(value: object, wanted: str) -> str | None:
    fits = not isinstance(value, str) or re.fullmatch(wanted.removeprefix("^").removesuffix("$"), value)
    return None if fits else f"{_short(value)} is not of the form {wanted}"


def _enum(value: object, wanted: list[object]) -> str | None:
    fits = any(type(value) is type(each) and value == each for each in wanted)
    return None if fits else f"{_short(value)} is not one of {', '.join(map(str, wanted))}"


def _length(kind: type, least: bool) -> Callable[[Any, int], str | None]:
    def check(value: Any, wanted: int) -> str | None:
        if not isinstance(value, kind) or (len(value) >= wanted if least else len(value) <= wanted):  # type: ignore[arg-type]
            return None
        return f"it has {len(value)} parts, not {'at least' if least else 'at most'} {wanted}"  # type: ignore[arg-type]

    return check


def _key(key: str) -> str:
    return key if key.isidentifier() and key.isascii() and len(key) <= 60 else _short(key)


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_PLAIN: dict[str, Callable[[Any, Any], str | None]] = {
    "type": _type,
    "required": _required,
    "minimum": _minimum,
    "maximum": _maximum,
    "pattern": _pattern,
    "enum": _enum,
    "minItems": _length(list, True),
    "maxItems": _length(list, False),
    "minLength": _length(str, True),
    "maxLength": _length(str, False),
}
_INSIDE: dict[str, Callable[[_Checker, object, Schema, str], str | None]] = {
    "properties": _Checker.properties,
    "additionalProperties": _Checker.properties,
    "items": _Checker.items,
    "prefixItems": _Checker.items,
}
