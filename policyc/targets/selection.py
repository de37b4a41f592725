"""Which targets a policy compiles to: named ones must be able to express it, default ones may be left out."""

from __future__ import annotations

from collections.abc import Sequence

from policyc.semantics.policy import DecisionMap, Policy
from policyc.targets.registry import DEFAULT, NAMES, target
from policyc.vocabulary.diagnostic import ERROR, WARNING, Diagnostic, error
from policyc.vocabulary.typed import NamedTuple


class LeftOut(NamedTuple):
    """A default target that cannot express the policy. code and reason: of the first thing in its way."""

    target: str
    code: str
    reason: str


class Selection(NamedTuple):
    """targets: what to compile to, in the order of the registry. diagnostics: of these and of those left out."""

    targets: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    diagnostics: tuple[Diagnostic, ...]


def select(policy: Policy, maps: Sequence[DecisionMap], asked: Sequence[str] | None) -> Selection:
    """The targets that were asked for (None: the policy's own, else the default ones), each asked what is wrong.

    What the policy names must be expressible even where less was asked for. Raises KeyError for an unknown target.
    """
    own = [name for name, _ in policy.targets]
    named = {*own, *(asked or ())}
    wanted = set(asked or own or DEFAULT)
    found = {name: target(name).problems(policy, tuple(maps)) for name in sorted(named | wanted, key=NAMES.index)}
    fatal = {name: [each for each in told if each.severity == ERROR] for name, told in found.items()}
    if not named and not all(fatal.values()):
        left = tuple(LeftOut(name, said[0].code, said[0].message) for name, said in fatal.items() if said)
    else:
        left = ()
    out = {each.target for each in left}
    diagnostics: list[Diagnostic] = []
    for name, told in found.items():
        diagnostics += (
            [_left_out(name, fatal[name], [each for each in wanted if each not in out])] if name in out else told
        )
    targets = tuple(name for name in found if name in wanted and name not in out)
    return Selection(targets, left, tuple(dict.fromkeys(diagnostics)))


def _left_out(name: str, said: list[Diagnostic], made: list[str]) -> Diagnostic:
    """T513, at the place of the first thing in the target's way. made: the targets that stay."""
    first = said[0]
    more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
    return error(
        "T513",
        f"target `{name}` is left out: {first.message}{more}",
        None if first.primary is None else first.primary.span,
        "" if first.primary is None else first.primary.text,
        secondary=first.secondary,
        notes=first.notes,
        helps=(
            f"if that is meant, say so, and this warning goes: target {', '.join(sorted(made, key=NAMES.index))}",
            *(f"for {name} too: {each}" for each in first.helps[:1]),
        ),
        severity=WARNING,
    )
