"""Which of the known words a misspelt one may mean."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 64
"""Words of more characters get no suggestion: the work grows with the square."""


def distance(left: str, right: str, limit: int) -> int:
    """Edits (insert, delete, replace, swap of neighbours) from left to right; limit+1 for more than limit."""
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        older, before, row = before, row, [i]
        for j, b in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]


def nearest(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """At most ``count`` of the known words, nearest first, that are few edits away; case does not count."""
    if not word or len(word) > LONGEST:
        return []
    limit = 1 if len(word) <= 3 else 2 if len(word) <= 8 else 3
    asked = word.lower()
    found = sorted((distance(asked, each.lower(), limit), each) for each in set(known))
    return [each for edits, each in found if edits <= limit][:count]
