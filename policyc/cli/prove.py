"""``policyc prove implies A B``: statements about policies, proven for every access or refuted by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policyc.cli import policies
from policyc.cli.parser import Arguments, Parser, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policyc.analyses.diff import Side
    from policyc.analyses.implication import Outcome
    from policyc.database.names import Database
    from policyc.semantics.policy import Policy
    from policyc.semantics.verdicts import Verdict
    from policyc.vocabulary.diagnostic import Diagnostic

SUMMARY = "prove that policies imply, equal or exclude each other, or keep a baseline"

EPILOG = """\
# whatever the new policy passes, the old one passed
policyc prove implies new.pol old.pol
# both say the same in other words
policyc prove equivalent old.pol new.pol
# is a bundle what the policy says?
policyc prove equivalent vm.bundle vm.pol
# no access is passed by both
policyc prove disjoint closed.pol vm.pol
# each policy keeps what the `never allow` lines of a baseline say
policyc prove never baseline.pol policies/*.pol
"""

AS = ("msr", "io", "msrpm", "iopm", "kvm")
RELATIONS = ("implies", "equivalent", "disjoint", "never")
_VERBS = {
    "implies": ("implies", "does not imply"),
    "equivalent": ("is equivalent to", "is not equivalent to"),
    "disjoint": ("is disjoint from", "is not disjoint from"),
}


def arguments(parser: Parser) -> None:
    parser.add_argument("relation", metavar="|".join(RELATIONS), choices=RELATIONS, help="what to prove")
    parser.add_argument("first", metavar="A", help="the policy it is said of; for never: the baseline")
    parser.add_argument("others", metavar="B", nargs="+", help="the policy it is compared with; for never: any number")
    parser.add_argument("--as", dest="kind", choices=AS, help="what a raw image is, where its size does not say")
    parser.add_argument("--profile", metavar="NAME", help="under this profile of both; else under every profile")
    policies.add_database(parser)
    policies.add_format(parser)


def run(args: Arguments) -> int:
    if [args.first, *args.others].count("-") > 1:
        raise UsageError("standard input can be read once", "name the others as files")
    names = policies.database(args)
    if args.relation == "never":
        return _never(args, names)
    if len(args.others) > 1:
        raise UsageError(f"`{args.others[1]}` is one word too many", f"`{args.relation}` is about two policies")
    return _relation(args, names)


# two policies


def _relation(args: Arguments, names: Database) -> int:
    from policyc.analyses import implication
    from policyc.cli.subjects import load, sides

    first, second = load(args.first, names, args.kind), load(args.others[0], names, args.kind)
    left, right = sides(first, second, args.profile)
    profiles = None
    if args.profile is not None and first.side is not None and second.side is not None:
        for side in (left, right):
            policies.variant(side.policy, args.profile, None)
        profiles = [(args.profile, args.profile)]
    outcome = implication.prove(args.relation, left, right, profiles)
    if args.format == "json":
        from policyc.reports.jsonform import document

        print(document(_fields(args, outcome, left, right)), end="")
    else:
        print("\n".join(_told(args, outcome, left, right, names)))
    return int(not outcome.holds)


def _told(args: Arguments, outcome: Outcome, left: Side, right: Side, names: Database) -> list[str]:
    from policyc.cli import console
    from policyc.reports.cells import safe
    from policyc.reports.tables import table
    from policyc.semantics.wording import access_text

    paint = console.output_paint(args)
    yes, no = _VERBS[args.relation]
    found = outcome.counterexample
    if found is None:
        said = f"{safe(args.first)} {yes} {safe(args.others[0])}"
        return [paint("good", f"{said}: proven for every access{_scopes(outcome.scopes)}")]
    access = found.access
    shown = access_text(access.column, access.address, names)
    if access.kind in ("wrmsr", "out"):
        shown += f" value {access.value:#x}"
    if access.cpl:
        shown += f" cpl {access.cpl}"
    lines = [paint("error", f"{safe(args.first)} {no} {safe(args.others[0])}: `{shown}` is the proof")]
    if not found.known:
        lines = [f"perhaps {lines[0]}, for there are more conditions than can be followed"]
    rows = []
    for word, side, verdict, profile in (
        (args.first, left, found.left, found.scope.base),
        (args.others[0], right, found.right, found.scope.profile),
    ):
        rows.append((safe(word), _does(verdict), *_rule(side, verdict, access.column, profile)))
    where = _where(outcome)
    return [*lines, *table(rows), *([f"  {where}"] if where else [])]


def _scopes(count: int) -> str:
    return f" ({count} combinations of profile, vCPUs and target)" if count > 1 else ""


def _where(outcome: Outcome) -> str:
    from policyc.vocabulary.access import VCPU_LAST

    found = outcome.counterexample
    assert found is not None
    scope = found.scope
    parts = []
    if scope.profile is not None or scope.base is not None:
        parts.append(f"under profile {scope.profile or scope.base}")
    if scope.vcpus[-1][1] != VCPU_LAST:  # Else it is so on vCPUs that no rule names.
        parts.append(f"on vCPU {scope.vcpus[0][0]}")
    if found.left.reason == "outside" or found.right.reason == "outside":
        parts.append(f"as target {scope.target} sees it")
    return ", ".join(parts)


def _does(verdict: Verdict) -> str:
    from policyc.reports.differences import does_text

    return does_text(verdict.actions, verdict.intercepted)


def _rule(side: Side, verdict: Verdict, column: int, profile: str | None) -> tuple[str, str]:
    """Place and text of what decides."""
    from policyc.reports.cells import safe
    from policyc.semantics.decide import defaults_of
    from policyc.vocabulary.access import MSR_WRITE

    if verdict.reason == "past":
        return "the hardware", "an access past port 0xffff always exits"
    if verdict.rule is not None:
        span = side.policy.rules[verdict.rule].statement
    else:
        defaults = defaults_of(side.policy, profile)
        written = defaults.msr.span if column <= MSR_WRITE else defaults.io.span
        if verdict.reason == "outside":
            written = defaults.outside_span
        if written is None:
            return "by default", ""
        span = written
    if not span.source.text:  # A raw image has no lines.
        return safe(span.source.name), ""
    return safe(f"{span.source.name}:{span.line}"), safe(" ".join(span.text.split()))


def _fields(args: Arguments, outcome: Outcome, left: Side, right: Side) -> dict[str, Any]:
    found = outcome.counterexample
    fields: dict[str, Any] = {
        "relation": args.relation,
        "a": args.first,
        "b": args.others[0],
        "holds": outcome.holds,
        "counterexample": None,
    }
    if found is not None:
        sides = {}
        for name, side, verdict in (("a", left, found.left), ("b", right, found.right)):
            rule = None if verdict.rule is None else side.policy.rules[verdict.rule].statement
            place = None if rule is None else {"file": rule.source.name, "line": rule.line}
            sides[name] = {"does": _does(verdict), "intercepted": verdict.intercepted, "rule": place}
        fields["counterexample"] = {
            **found.access._asdict(),
            **sides,
            "profile": found.scope.profile or found.scope.base,
            "vcpu": found.scope.vcpus[0][0],
            "target": found.scope.target,
            "known": found.known,
        }
    return fields


# a baseline


def _never(args: Arguments, names: Database) -> int:
    """Each policy is tried, whatever the ones before it did; the worst of their exit codes counts."""
    from policyc.cli.frame import complain
    from policyc.pipeline import front
    from policyc.vocabulary.diagnostic import PolicyError, UnreadableError

    baseline = front(args.first, database=names).policy
    if not baseline.nevers:
        raise UsageError(
            f"{args.first} has no `never allow`", "the baseline comes first: policyc prove never BASELINE POLICY..."
        )
    found: list[Diagnostic] = []
    kept: list[tuple[str, int]] = []
    status = 0
    for path in args.others:
        try:
            count, broken = _broken(baseline, path, names, args.profile)
        except PolicyError as reason:
            found += reason.diagnostics
        except UnreadableError as reason:
            status = complain(str(reason))
        else:
            found += broken
            kept += [] if broken else [(path, count)]
    _print(args, len(baseline.nevers), found, kept)
    return status or int(bool(found))


def _broken(baseline: Policy, path: str, names: Database, profile: str | None) -> tuple[int, list[Diagnostic]]:
    """How many of the baseline's claims a policy is bound by, and those that it breaks. One of a profile binds only
    policies that have a profile of that name."""
    from policyc.cli.subjects import policy_side
    from policyc.semantics.claims import claims

    policy, maps = policy_side(path, names)
    if profile is not None:
        policies.variant(policy, profile, None)
        maps = {variant: each for variant, each in maps.items() if variant.profile == profile}
    modules = len(policy.modules)
    known = {None, *(each.name for each in policy.profiles)}
    nevers = tuple(each._replace(module=each.module + modules) for each in baseline.nevers if each.profile in known)
    bound = policy._replace(asserts=(), nevers=nevers, modules=(*policy.modules, *baseline.modules))
    return len(nevers), claims(bound, maps, names)


def _print(args: Arguments, count: int, found: Sequence[Diagnostic], kept: Sequence[tuple[str, int]]) -> None:
    if args.format == "json":
        from policyc.reports.jsonform import diagnostics, document

        fields: dict[str, Any] = {"relation": "never", "baseline": args.first, "claims": count, "holds": not found}
        fields["kept"] = [{"file": path, "claims": bound} for path, bound in kept]
        print(document({**fields, "diagnostics": diagnostics(found)}), end="")
        return
    from policyc.cli import console
    from policyc.reports.cells import safe

    console.tell(found, args)
    for path, bound in kept:
        rest = f"; {count - bound} are for profiles that it does not have" if bound < count else ""
        print(f"{safe(path)}: keeps {bound} `never allow` of {safe(args.first)}{rest}")
