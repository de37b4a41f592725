"""policyc's NamedTuple makes the classes that typing's makes, and is defined without it."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
import typing
from collections.abc import Callable
from typing import Any

import pytest

from policyc.vocabulary._named import NamedTuple as Ours
from policyc.vocabulary.span import Source, Span


class Theirs(typing.NamedTuple):
    """A place."""

    lo: int
    hi: int
    name: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return self.hi - self.lo + 1

    def named(self, name: str) -> Any:
        return self._replace(name=name)


class Mine(Ours):  # type: ignore[misc,valid-type]
    """A place."""

    lo: int
    hi: int
    name: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return self.hi - self.lo + 1

    def named(self, name: str) -> Any:
        return self._replace(name=name)


WAYS: list[Callable[[Any], Any]] = [
    lambda kind: kind(1, 2),
    lambda kind: kind(1, 2, "a", ("x",)),
    lambda kind: kind(hi=2, lo=1),
    lambda kind: kind(1, hi=2, tags=("y",)),
    lambda kind: kind._make([1, 2, "a", ()]),
    lambda kind: kind(1, 2)._replace(hi=9, name="b"),
    lambda kind: kind(1, 2).named("c"),
    lambda kind: copy.copy(kind(1, 2)),
    lambda kind: copy.deepcopy(kind(1, 2, tags=("z",))),
    lambda kind: pickle.loads(pickle.dumps(kind(1, 2, "p"))),
]


@pytest.mark.parametrize("way", range(len(WAYS)))
def test_values_made_in_every_way_are_the_same(way: int) -> None:
    mine, theirs = WAYS[way](Mine), WAYS[way](Theirs)
    assert type(mine) is Mine
    assert tuple(mine) == tuple(theirs)
    assert (mine == theirs, hash(mine) == hash(theirs)) == (True, True)
    assert repr(mine) == repr(theirs).replace("Theirs", "Mine")
    assert (mine.lo, mine.hi, mine.name, mine.tags, mine.size) == (
        theirs.lo, theirs.hi, theirs.name, theirs.tags, theirs.size,
    )  # fmt: skip
    assert mine._asdict() == theirs._asdict()


def test_classes_tell_the_same_of_themselves() -> None:
    for name in ("_fields", "_field_defaults", "__match_args__", "__doc__"):
        assert getattr(Mine, name) == getattr(Theirs, name), name
    assert typing.get_type_hints(Mine) == typing.get_type_hints(Theirs)
    assert inspect.signature(Mine).parameters.keys() == inspect.signature(Theirs).parameters.keys()
    assert Mine.__mro__[-2:] == Theirs.__mro__[-2:] == (tuple, object)


def test_a_value_cannot_be_changed_and_takes_no_new_attribute() -> None:
    for kind in (Mine, Theirs):
        value: Any = kind(1, 2)
        for name in ("lo", "other"):
            with pytest.raises(AttributeError):
                setattr(value, name, 3)
        assert not hasattr(value, "__dict__")


WRONG: list[Callable[[Any], Any]] = [
    lambda kind: kind(1),
    lambda kind: kind(1, 2, 3, 4, 5),
    lambda kind: kind(1, 2, other=3),
    lambda kind: kind(1, 2, lo=3),
    lambda kind: kind._make([1, 2]),
    lambda kind: kind(1, 2)._replace(other=3),
]


@pytest.mark.parametrize("way", range(len(WRONG)))
def test_a_wrong_use_raises_what_typing_raises(way: int) -> None:
    said = []
    for kind in (Mine, Theirs):
        with pytest.raises((TypeError, ValueError)) as caught:
            WRONG[way](kind)
        said.append((caught.type, str(caught.value).replace("Theirs.", "").replace("Mine.", "")))
    assert said[0] == said[1]


def test_patterns_match_by_position() -> None:
    match Mine(1, 2, "a"):
        case Mine(lo, hi, name):
            assert (lo, hi, name) == (1, 2, "a")
        case _:
            pytest.fail("no match")


def test_the_package_uses_it_without_typing() -> None:
    assert Span.__mro__[1] is Mine.__mro__[1]
    assert Source in Source.__mro__
    code = "import sys, policyc.vocabulary.diagnostic; print('typing' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
