"""Lint one text, as the command would, without files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from policyc.database.names import load
from policyc.lint.settings import Settings
from policyc.review import Verdict, review, verdict
from policyc.vocabulary.diagnostic import Diagnostic

DATABASE = load()
TODAY = "2026-11-24"
NAME = "vm.pol"
HEAD = "language 1\ntarget vmx\n"
OPEN, CLOSED = HEAD + "default passthrough\n", HEAD + "default exit\n"


@cache
def lint(text: str, settings: Settings | None = None, *, today: str = TODAY, waive: bool = True) -> Verdict:
    buffers: Mapping[str, bytes] = {NAME: text.encode()}
    reviewed = review(NAME, settings or Settings(), database=DATABASE, buffers=buffers)
    return verdict([reviewed], today, waive=waive)


def found(text: str, code: str, settings: Settings | None = None) -> list[Diagnostic]:
    """The findings with a code; the rule is turned on."""
    settings = settings or Settings()
    left = lint(text, settings._replace(extend_select=(*settings.extend_select, code))).left
    return [each for each in left if each.code == code]


def codes(text: str, settings: Settings | None = None, **more: object) -> list[str]:
    """Codes that stand, of errors and warnings, in source order."""
    return [each.code for each in lint(text, settings).left if each.severity != "info"]
