"""How lint is to judge: which rules, under which threat, how severe. Where settings come from is the command's affair."""

from __future__ import annotations

from typing import NamedTuple

from policyc.lint.rule import GUEST
from policyc.vocabulary.codes import CODES

ALL = "ALL"
SEVERITIES = ("error", "warning", "info")


class Settings(NamedTuple):
    """select: patterns of the rules to run, None for those that are on by themselves. extend_select: further ones.
    ignore: patterns of rules to leave out, which wins. severity: (pattern, severity), the last match counts.
    forbid_waivers: patterns of codes that no comment may waive. strict_waivers: an expired waiver is an error.

    A pattern is a code, a slug, the beginning of a code (``S``, ``S4``), or ``ALL``.
    """

    select: tuple[str, ...] | None = None
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    threat: str = GUEST
    platform: str = ""
    severity: tuple[tuple[str, str], ...] = ()
    forbid_waivers: tuple[str, ...] = ()
    strict_waivers: bool = False

    def runs(self, code: str, on: bool, threats: frozenset[str]) -> bool:
        """Whether a rule runs. on: whether it does by itself. threats: under which it does."""
        if any(matches(each, code) for each in self.ignore):
            return False
        named = (*(self.select or ()), *self.extend_select)
        if any(each in (code, CODES[code].slug) for each in named):
            return True
        if self.threat not in threats:
            return False
        if any(matches(each, code) for each in named):
            return True
        return self.select is None and on

    def level(self, code: str, usual: str) -> str:
        """The severity of a finding."""
        for pattern, severity in reversed(self.severity):
            if matches(pattern, code):
                return severity
        return usual


def matches(pattern: str, code: str) -> bool:
    """Whether a pattern means a code. The beginning of a code is a letter with up to three digits."""
    return pattern == ALL or pattern == CODES[code].slug or code.startswith(pattern)


def known(pattern: str) -> bool:
    """Whether a pattern means any code that lint can tell."""
    if not pattern:
        return False
    return any(matches(pattern, code) for code in CODES if code[0] not in "DE")
