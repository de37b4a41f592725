"""``(subject & mask) op operand`` on unsigned numbers: when it can hold, must hold, and excludes another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policyc.semantics.policy import Condition
from policyc.vocabulary.access import COLUMN_WIDTHS

U64 = (1 << 64) - 1
_ENUMERABLE = 10
"""Masked bits up to which every value is tried."""


def compare(op: str, left: int, right: int) -> bool:
    """``left op right``; op: ``== != < <= > >=``."""
    if op == "==":
        return left == right
    if op == "!=":
        return left != right
    if op == "<":
        return left < right
    if op == "<=":
        return left <= right
    return left > right if op == ">" else left >= right


def holds(condition: Condition, value: int, cpl: int) -> bool:
    """Whether it holds for a write of value (already cut to the access' width) at privilege level cpl."""
    subject = value if condition.subject == "value" else cpl
    return compare(condition.op, subject & condition.mask, condition.operand)


def subject_bits(condition: Condition, column: int) -> int:
    """All bits that the subject can have in an access of the column: 3 for cpl, else ones of the access' width."""
    return 3 if condition.subject == "cpl" else (1 << 8 * COLUMN_WIDTHS[column]) - 1


def possible(condition: Condition, bits: int) -> bool:
    """Whether some subject of these bits satisfies it."""
    mask, operand, op = condition.mask & bits, condition.operand, condition.op
    if op == "==":
        return operand & ~mask == 0
    if op == "!=":
        return mask != 0 or operand != 0
    if op in ("<", "<="):
        return compare(op, 0, operand)
    return compare(op, mask, operand)


_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def certain(condition: Condition, bits: int) -> bool:
    """Whether every subject of these bits satisfies it."""
    return not possible(condition._replace(op=_OPPOSITE[condition.op]), bits)


def disjoint(left: Sequence[Condition], right: Sequence[Condition], column: int) -> bool:
    """Whether no access of the column satisfies both conjunctions.

    Exact for masks of up to ten bits and wherever one side is an equality; else it may say False where True is so.
    """
    return any(
        a.subject == b.subject and _exclude(a, b, subject_bits(a, column)) for a in (*left, *right) for b in right
    )


def contradictory(conditions: Sequence[Condition], column: int) -> bool:
    """Whether the conjunction cannot hold for any access of the column, as far as pairs tell."""
    return any(not possible(each, subject_bits(each, column)) for each in conditions) or disjoint(
        conditions, conditions, column
    )


def _exclude(a: Condition, b: Condition, bits: int) -> bool:
    both = (a.mask | b.mask) & bits
    if both.bit_count() <= _ENUMERABLE:
        return not any(
            compare(a.op, value & a.mask, a.operand) and compare(b.op, value & b.mask, b.operand)
            for value in _submasks(both)
        )
    for fixed, other in ((a, b), (b, a)):
        if fixed.op == "==":
            return not _possible_under(fixed, other, bits)
    if a.mask & bits != b.mask & bits:
        return False
    (lo, hi), (low, high) = bounds(a, bits), bounds(b, bits)
    return max(lo, low) > min(hi, high)


def _possible_under(fixed: Condition, other: Condition, bits: int) -> bool:
    """Whether ``other`` can hold where the masked bits of ``fixed`` are its operand."""
    known = fixed.operand & other.mask & fixed.mask
    free = other.mask & ~fixed.mask & bits
    if other.op == "==":
        return (other.operand ^ known) & ~free & bits == 0 and other.operand & ~(other.mask & bits) == 0
    if other.op == "!=":
        return free != 0 or known != other.operand
    return compare(other.op, known if other.op in ("<", "<=") else known | free, other.operand)


def bounds(condition: Condition, bits: int) -> tuple[int, int]:
    """The least and the greatest value of ``subject & mask`` that may satisfy it; low above high where none does."""
    top = condition.mask & bits
    return {
        "==": (condition.operand, condition.operand),
        "!=": (0, top),
        "<": (0, condition.operand - 1),
        "<=": (0, condition.operand),
        ">": (condition.operand + 1, top),
        ">=": (condition.operand, top),
    }[condition.op]


def _submasks(mask: int) -> Iterator[int]:
    value = mask
    while True:
        yield value
        if value == 0:
            return
        value = (value - 1) & mask
