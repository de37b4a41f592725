"""What ``policyc.vocabulary.typed.NamedTuple`` is at run time: typing.NamedTuple without compiling source text for each class."""

from __future__ import annotations

from collections import _tuplegetter  # type: ignore[attr-defined]  # The attribute of collections' own named tuples.
from types import CodeType, FunctionType

TYPE_CHECKING = False  # Not from typing: to do without it is the point.
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Self

_GLOBALS = {"new": tuple.__new__, "__builtins__": {}}
_codes: dict[int, CodeType] = {}


class _Record(tuple):  # type: ignore[type-arg]  # tuple[Any, ...] would be looked up at run time.
    """What all of them share; see collections.namedtuple for each method."""

    __slots__ = ()
    if TYPE_CHECKING:
        _fields: tuple[str, ...]

    @classmethod
    def _make(cls, values: Iterable[Any]) -> Self:
        made: Self = tuple.__new__(cls, values)
        if len(made) != len(cls._fields):
            raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
        return made

    def _replace(self, /, **changes: Any) -> Self:
        made = self._make(map(changes.pop, self._fields, self))
        if changes:
            raise ValueError(f"Got unexpected field names: {list(changes)!r}")
        return made

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
        return f"{type(self).__name__}({shown})"

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)


class _Meta(type):
    """Turns the body of a class that names NamedTuple as its base into a record's."""

    def __new__(meta, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
        if not bases:
            return super().__new__(meta, name, bases, body)
        fields = tuple(body.get("__annotations__", ()))
        defaults = {field: body[field] for field in fields if field in body}
        for index, field in enumerate(fields):
            body[field] = _tuplegetter(index, "")
        body |= {"__slots__": (), "_fields": fields, "_field_defaults": defaults, "__match_args__": fields}
        body["__new__"] = _maker(name, fields, tuple(defaults.values()))
        return type(name, (_Record,), body)


class NamedTuple(metaclass=_Meta):
    """``class Point(NamedTuple)``, its fields annotated: as typing.NamedTuple, which a test holds it to."""


def _maker(owner: str, fields: tuple[str, ...], defaults: tuple[Any, ...]) -> FunctionType:
    """``lambda cls, FIELDS: new(cls, (FIELDS,))``, compiled once for each number of fields and then renamed."""
    count = len(fields)
    if count not in _codes:
        words = "".join(f"f{index}, " for index in range(count))
        _codes[count] = eval(f"lambda cls, {words}: new(cls, ({words}))").__code__
    code = _codes[count].replace(co_varnames=("cls", *fields), co_name="__new__", co_qualname=f"{owner}.__new__")
    return FunctionType(code, _GLOBALS, "__new__", defaults or None)
