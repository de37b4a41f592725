"""How many mistakes of a policy are told before the rest is left unread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from policyc.vocabulary.diagnostic import ERROR, INFO, Diagnostic, error
from policyc.vocabulary.span import Span

MOST_MISTAKES = 100


class Patience:
    """Watches a list of problems that others append to."""

    def __init__(self, problems: list[Diagnostic]) -> None:
        self.problems = problems
        self._seen = 0
        self._errors = 0

    def spent(self) -> bool:
        """Whether the list holds so many errors that more would help nobody."""
        while self._seen < len(self.problems):
            self._errors += self.problems[self._seen].severity == ERROR
            self._seen += 1
        return self._errors >= MOST_MISTAKES

    def closing(self) -> Diagnostic:
        """Said after the last of too many mistakes, at its place."""
        last = max(self.problems, key=Diagnostic.sort_key)
        span = None if last.primary is None else Span(last.primary.span.source, *[last.primary.span.end] * 2)
        said = f"checking stops here, after {MOST_MISTAKES} mistakes"
        return error("E004", said, span, helps=("mend these, and run the command again",))


def few(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """In source order, and of every code no more than MOST_MISTAKES; the last one then says how many were left out."""
    ordered = sorted(diagnostics, key=Diagnostic.sort_key)
    left = Counter(each.code for each in ordered)
    told: Counter[str] = Counter()
    kept: list[Diagnostic] = []
    for each in ordered:
        told[each.code] += 1
        more = left[each.code] - MOST_MISTAKES
        if told[each.code] <= MOST_MISTAKES or more == 1:
            kept.append(each)
        elif told[each.code] == MOST_MISTAKES + 1:
            severity = each.severity if each.severity == ERROR else INFO
            span = None if each.primary is None else each.primary.span
            said = f"{more:,} more findings like the ones above are left out"
            kept.append(error(each.code, said, span, helps=("mend those first",), severity=severity))
    return tuple(kept)
