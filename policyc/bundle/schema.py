"""Holding JSON from outside to its schema, before anything is believed of it.

The part of JSON Schema 2020-12 that policyc's own schemas use; a keyword outside it is an error here, so that no
schema promises what is not checked. tests/bundle compares the answers with those of an independent validator.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from policyc.vocabulary.typed import Any, NamedTuple

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


Path = tuple[str | int, ...]


class Violation(NamedTuple):
    """What a schema forbids. path: member names and item numbers that lead to it; empty for the whole document."""

    path: Path
    said: str

    def text(self) -> str:
        """``files[3].size: 7 is below 8``."""
        at = ""
        for each in self.path:
            if isinstance(each, int):
                at += f"[{each}]"
            else:
                at += f".{_key(each)}" if at else _key(each)
        return f"{at or 'the document'}: {self.said}"


def violation(value: object, schema: Schema) -> str | None:
    """The first thing about a JSON value that its schema forbids, as in ``files[3].size: 7 is below 8``; None if fine."""
    found = first_violation(value, schema)
    return None if found is None else found.text()


def first_violation(value: object, schema: Schema) -> Violation | None:
    """The same with its place."""
    return _Checker(schema).check(value, schema, ())


class _Checker:
    def __init__(self, whole: Schema) -> None:
        self.definitions: Schema = whole.get("$defs", {})

    def check(self, value: object, schema: Schema, at: Path) -> Violation | None:
        found: Violation | None
        for keyword, wanted in schema.items():
            if keyword in _WORDLESS:
                continue
            if keyword == "$ref":
                found = self.check(value, self.definitions[wanted.removeprefix("#/$defs/")], at)
            elif keyword in _INSIDE:
                found = _INSIDE[keyword](self, value, schema, at)
            else:
                told = _PLAIN[keyword](value, wanted)
                found = Violation(at, told) if told else None
            if found:
                return found
        return None

    def properties(self, value: object, schema: Schema, at: Path) -> Violation | None:
        """Named members, then all others; additionalProperties: a schema for these, or false where there are none."""
        if not isinstance(value, dict):
            return None
        known = schema.get("properties", {})
        others = schema.get("additionalProperties")
        for key, member in value.items():
            rule = known.get(key, others)
            if rule is False:
                return Violation((*at, key), f"there is no such member here{_near(key, known)}")
            found = None if rule is None else self.check(member, rule, (*at, key))
            if found:
                return found
        return None

    def items(self, value: object, schema: Schema, at: Path) -> Violation | None:
        """The first items each by its own schema, the rest by one."""
        if not isinstance(value, list):
            return None
        first = schema.get("prefixItems", [])
        rest = schema.get("items")
        for number, item in enumerate(value):
            rule = first[number] if number < len(first) else rest
            found = None if rule is None else self.check(item, rule, (*at, number))
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


def _near(key: str, known: Schema) -> str:
    from policyc.vocabulary.near import nearest

    close = nearest(key, known, 1)
    return f"; did you mean {close[0]}?" if close else ""


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
_INSIDE: dict[str, Callable[[_Checker, object, Schema, Path], Violation | None]] = {
    "properties": _Checker.properties,
    "additionalProperties": _Checker.properties,
    "items": _Checker.items,
    "prefixItems": _Checker.items,
}
