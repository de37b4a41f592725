"""Running the rules over one policy: findings in source order, before waivers."""

from __future__ import annotations

from collections.abc import Iterable

from policyc.lint.registry import codes, load
from policyc.lint.rule import ANY_THREAT, Rule
from policyc.lint.settings import Settings
from policyc.lint.subject import STD, Subject
from policyc.vocabulary.diagnostic import Diagnostic


def findings(subject: Subject, settings: Settings, told: Iterable[Diagnostic] = ()) -> list[Diagnostic]:
    """What the rules say, and of ``told`` (by the compiler) what the settings keep. Errors of E codes are always kept."""
    rules: dict[str, Rule] = {}
    out: list[Diagnostic] = []
    for code in codes():
        registered = load(code) if _may_run(code, settings) else None
        if registered is None:
            continue
        rule = registered.rule
        if not settings.runs(code, rule.on, rule.threats):
            continue
        rules[code] = rule
        if registered.check is not None:
            out += (each for each in registered.check(subject) if _ours(each))
    kept = _silenced(out, rules)
    kept += (each for each in told if each.code[0] in "DE" or settings.runs(each.code, True, ANY_THREAT))
    return sorted((_levelled(each, settings) for each in _unique(kept)), key=Diagnostic.sort_key)


def _may_run(code: str, settings: Settings) -> bool:
    """False where the settings alone, without the rule's file, say that it does not run."""
    return settings.runs(code, True, ANY_THREAT)


def _ours(diagnostic: Diagnostic) -> bool:
    """Findings in modules that come with policyc are not the user's to mend."""
    return diagnostic.primary is None or not diagnostic.primary.span.source.name.startswith(STD)


def _silenced(found: list[Diagnostic], rules: dict[str, Rule]) -> list[Diagnostic]:
    """Without those that yield to another finding about the same place: one mistake, one report."""
    places: dict[tuple[str, int], set[str]] = {}
    for each in found:
        if each.primary is not None:
            places.setdefault((each.primary.span.source.name, each.primary.span.start), set()).add(each.code)
    out = []
    for each in found:
        beside: set[str] = set()
        if each.primary is not None:
            beside = places[each.primary.span.source.name, each.primary.span.start] - {each.code}
        if not any(code.startswith(rules[each.code].yields_to) for code in beside if rules[each.code].yields_to):
            out.append(each)
    return out


def _unique(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    out: dict[tuple[object, ...], Diagnostic] = {}
    for each in found:
        span = None if each.primary is None else each.primary.span
        key = (each.code, each.message) if span is None else (each.code, each.message, span.source.name, span[1:])
        out.setdefault(key, each)
    return list(out.values())


def _levelled(diagnostic: Diagnostic, settings: Settings) -> Diagnostic:
    if diagnostic.code[0] in "DE":
        return diagnostic
    return diagnostic._replace(severity=settings.level(diagnostic.code, diagnostic.severity))
