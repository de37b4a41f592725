"""Which link of a chain of conditional rules may decide, and for which value and privilege level it does.

Exact: the conditions are run as automata over the bits of the value, highest bit first. For ``value & mask op
operand`` all that matters of the bits so far is whether they make a number less than, equal to or greater than the
operand's; so few combinations of states exist however many values there are, and each comes with a value that gets
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from policyc.semantics.conditions import compare, holds
from policyc.semantics.policy import Condition
from policyc.vocabulary.typed import NamedTuple

MOST_STATES = 5000
"""Combinations of states that are followed; above, ``cases`` says that it does not know."""

_LESS, _EQUAL, _GREATER = -1, 0, 1


class Case(NamedTuple):
    """One way the conditions may turn out. truth: by condition. value, cpl: an access for which they do."""

    truth: dict[Condition, bool]
    value: int
    cpl: int


def cases(conditions: Sequence[Condition], bits: int) -> list[Case] | None:
    """Every combination of truths that some access has, the smallest value first. bits: width of the value (0: none,
    and conditions on it never hold). None where there are more than can be followed."""
    asked = tuple(dict.fromkeys(conditions))
    on_value = tuple(each for each in asked if each.subject == "value")
    on_cpl = [each for each in asked if each.subject == "cpl"]
    values = _values(on_value, bits)
    if values is None:
        return None
    levels: dict[tuple[bool, ...], int] = {}
    for cpl in range(4):
        levels.setdefault(tuple(holds(each, 0, cpl) for each in on_cpl), cpl)
    found = []
    for (truth, value), (level, cpl) in product(values.items(), levels.items()):
        found.append(
            Case({**dict(zip(on_value, truth, strict=True)), **dict(zip(on_cpl, level, strict=True))}, value, cpl)
        )
    return sorted(found, key=lambda case: (case.value, case.cpl))


def _values(conditions: tuple[Condition, ...], bits: int) -> dict[tuple[bool, ...], int] | None:
    """Combinations of truths, each with a value of that many bits."""
    if not bits:
        return {(False,) * len(conditions): 0}
    # An operand with bits above the value's is greater than all of them from the start.
    start = tuple(_LESS if each.operand >> bits else _EQUAL for each in conditions)
    states = {start: 0}
    for bit in reversed(range(bits)):
        after: dict[tuple[int, ...], int] = {}
        for state, value in states.items():
            for digit in (0, 1):
                moved = tuple(_move(each, was, bit, digit) for each, was in zip(conditions, state, strict=True))
                after.setdefault(moved, value | digit << bit)
        if len(after) > MOST_STATES:
            return None
        states = after
    found: dict[tuple[bool, ...], int] = {}
    for state, value in states.items():
        truth = tuple(compare(each.op, is_, 0) for each, is_ in zip(conditions, state, strict=True))
        found[truth] = min(value, found.get(truth, value))
    return found


def _move(condition: Condition, state: int, bit: int, digit: int) -> int:
    """The state after one more bit. For == and != it does not matter on which side of the operand a value lies."""
    if state != _EQUAL:
        return state
    ours, theirs = digit & condition.mask >> bit, condition.operand >> bit & 1
    if ours == theirs:
        return _EQUAL
    return _LESS if ours < theirs or condition.op in ("==", "!=") else _GREATER
