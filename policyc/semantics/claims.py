"""E211 and E212: what a policy asserts and what it must never allow, decided for every access of every variant.

``assert intercepted X`` holds if every access *that starts at X* (and has the column) is intercepted, with any value at
any privilege level; ``assert not intercepted X`` if none is; what that means is in ``policyc.semantics.verdicts``.
``assert action X == A`` holds if each of them ends in A; where A names log, count or trace, the whole chain must be A.
``never allow X`` is broken by any access *that touches X*, wherever it starts, and reaches the hardware as the guest
wrote it: because it does not exit, or because an action passes it on. A mask is no such access.

Claims hold in every variant; those of a profile in it and in all that extend it. A claim about an MSR without a bit
must hold on every target that the policy names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from policyc.semantics.addresses import Names
from policyc.semantics.policy import Actions, Assertion, DecisionMap, Default, Never, Policy, Variant
from policyc.semantics.vcpus import REST
from policyc.semantics.verdicts import Judge, Verdict, views
from policyc.semantics.wording import access_text, actions_text, addresses_text
from policyc.vocabulary import intervals
from policyc.vocabulary.access import COLUMN_NAMES, COLUMN_WIDTHS, COLUMNS, IO, MSR, MSR_WRITE
from policyc.vocabulary.diagnostic import Diagnostic, Label, error
from policyc.vocabulary.intervals import Intervals
from policyc.vocabulary.typed import NamedTuple

MOST = 100
"""Reports of broken claims."""


class Counterexample(NamedTuple):
    """An access that breaks a claim."""

    judge: Judge
    column: int
    address: int
    verdict: Verdict


def claims(policy: Policy, maps: Mapping[Variant, DecisionMap], names: Names | None = None) -> list[Diagnostic]:
    """Every assertion and every ``never allow`` that does not hold, each once."""
    judges = [Judge(policy, maps[variant], view) for variant in maps for view in views(policy)]
    found: list[Diagnostic] = []
    every: list[Assertion | Never] = [*policy.asserts, *policy.nevers]
    for claim in every:
        if len(found) == MOST:
            break
        broken = _Broken(policy, claim, judges)
        if broken.first is not None:
            found.append(_report(policy, claim, broken, broken.first, names))
    return found


def matches(expected: Actions, actual: Actions) -> bool:
    """Whether an action chain is what was expected: of the parts that the expectation names, all must agree."""
    if not expected[-1].terminal:
        return expected == tuple(each for each in actual if not each.terminal)
    return expected == (actual if len(expected) > 1 else actual[-1:])


class _Broken:
    """All that breaks one claim. where: variants; addresses: start addresses in the first of them."""

    def __init__(self, policy: Policy, claim: Assertion | Never, judges: list[Judge]) -> None:
        self.first: Counterexample | None = None
        self.addresses: Intervals = ()
        self.checked = 0
        self.where: dict[Variant, None] = {}
        breaks = _breaks(claim)
        lineage: dict[str | None, tuple[str, ...]] = {profile.name: profile.lineage for profile in policy.profiles}
        for judge in judges:
            variant = judge.decisions.variant
            applies = claim.profile is None or claim.profile in lineage.get(variant.profile, ())
            if not applies or not policy.vcpu_classes[variant.vcpu_class].vcpus:
                continue
            if self.first is None:
                self.search(judge, claim, breaks)
            elif variant not in self.where and next(_broken(judge, claim, breaks), None) is not None:
                self.where[variant] = None

    def search(self, judge: Judge, claim: Assertion | Never, breaks: Callable[[Verdict], bool]) -> None:
        ranges: list[tuple[int, int]] = []
        for column, lo, hi, verdict in _broken(judge, claim, breaks):
            if self.first is None:
                self.first = Counterexample(judge, column, lo, verdict)
                self.where[judge.decisions.variant] = None
            ranges.append((lo, hi))
        self.addresses = intervals.normal(ranges)


def _breaks(claim: Assertion | Never) -> Callable[[Verdict], bool]:
    """Whether a verdict breaks the claim."""
    if isinstance(claim, Never):
        return lambda verdict: verdict.passes
    expected = claim.expected
    if claim.kind == "intercepted" or expected is None:
        return lambda verdict: verdict.intercepted == claim.negated
    return lambda verdict: matches(expected, verdict.actions) == claim.negated


def _broken(
    judge: Judge, claim: Assertion | Never, breaks: Callable[[Verdict], bool]
) -> Iterator[tuple[int, int, int, Verdict]]:
    """Column, first and last start address, and verdict of all that breaks a claim in one variant."""
    for column in COLUMNS:
        if not claim.columns >> column & 1:
            continue
        starts = claim.ranges
        if isinstance(claim, Never) and column > MSR_WRITE:
            reach = COLUMN_WIDTHS[column] - 1
            starts = intervals.normal((max(0, lo - reach), hi) for lo, hi in starts)
        for lo, hi in starts:
            for stretch in judge.stretches(column, lo, hi):
                for verdict in judge.verdicts(stretch, column):
                    if breaks(verdict):
                        yield column, stretch.lo, stretch.hi, verdict
                        break


# words


def _report(
    policy: Policy, claim: Assertion | Never, broken: _Broken, first: Counterexample, names: Names | None
) -> Diagnostic:
    access = access_text(first.column, first.address, names)
    if isinstance(claim, Never):
        code, said = "E212", f"`{access}` passes through, and must never"
        label = "never allowed here" if claim.module == 0 else f"never allowed by {policy.modules[claim.module].name}"
    else:
        code, label = "E211", "asserted here"
        said = _assertion_words(claim, access, first.verdict)
    secondary = decider(policy, first.judge.decisions, first.column, first.verdict)
    space = MSR if first.column <= MSR_WRITE else IO
    notes = [_example(first) + decided_by(first.verdict, first.judge.view.target)]
    many = intervals.size(broken.addresses) > 1
    also = f"it fails at {addresses_text(space, broken.addresses, names)}" if many else ""
    where = _where(policy, broken)
    if also or where:
        notes.append("; ".join(part for part in (also, where) if part))
    helps = (f"`{_explain(policy, first)}` shows the whole decision",)
    return error(code, said, claim.span, label, secondary=secondary, notes=tuple(notes), helps=helps)


def _explain(policy: Policy, first: Counterexample) -> str:
    """The command that explains a counterexample."""
    word, _, width = COLUMN_NAMES[first.column].partition(" width ")
    command = f"policyc explain {policy.modules[0].name} {word} {first.address:#x}"
    if width not in ("", "1"):
        command += f" --width {width}"
    if first.verdict.value:
        command += f" --value {first.verdict.value:#x}"
    if first.verdict.cpl:
        command += f" --cpl {first.verdict.cpl}"
    variant = first.judge.decisions.variant
    vcpus = policy.vcpu_classes[variant.vcpu_class]
    if vcpus.name != REST:
        command += f" --vcpu {vcpus.vcpus[0][0]}"
    return command if variant.profile is None else f"{command} --profile {variant.profile}"


def _assertion_words(claim: Assertion, access: str, verdict: Verdict) -> str:
    if claim.kind == "intercepted":
        return f"`{access}` is{' ' if claim.negated else ' not '}intercepted, against what is asserted"
    does = actions_text(verdict.actions)
    if claim.negated:
        return f"`{access}` ends in {does}, against what is asserted"
    assert claim.expected is not None
    return f"`{access}` ends in {does}, not in {actions_text(claim.expected)} as asserted"


def _example(first: Counterexample) -> str:
    """Value and privilege level, where the verdict depends on them."""
    rules = first.judge.policy.rules
    stretch = next(first.judge.stretches(first.column, first.address, first.address))
    conditions = [each for chain in stretch.chains for link in chain if link >= 0 for each in rules[link].conditions]
    if not conditions:
        return ""
    if not first.verdict.known:
        return "perhaps, for there are more conditions than can be compared: "
    parts = []
    if any(each.subject == "value" for each in conditions) and first.column not in (0, 2, 3, 4):
        parts.append(f"value {first.verdict.value:#x}")
    if any(each.subject == "cpl" for each in conditions):
        parts.append(f"cpl {first.verdict.cpl}")
    return f"with {' and '.join(parts)}, " if parts else ""


def decided_by(verdict: Verdict, target: str) -> str:
    """``it is decided by the default``."""
    if verdict.reason == "past":
        return "it runs past port 0xffff, so it always exits"
    if verdict.reason == "outside":
        return f"on {target} the MSR has no bit, so it always exits, and `default msr outside` decides"
    if verdict.rule is None:
        return "it is decided by the default: no rule covers it"
    return "it is decided by the rule shown"


def decider(policy: Policy, decisions: DecisionMap, column: int, verdict: Verdict) -> tuple[Label, ...]:
    """The place of the rule, or of the default as far as it is written, that decides."""
    if verdict.rule is not None:
        rule = policy.rules[verdict.rule]
        return (Label(rule.span, "this rule decides it"),)
    if verdict.reason == "past":
        return ()
    span = decisions.defaults.outside_span if verdict.reason == "outside" else _default(decisions, column).span
    return () if span is None else (Label(span, "this default decides it"),)


def _default(decisions: DecisionMap, column: int) -> Default:
    return decisions.defaults.msr if column <= MSR_WRITE else decisions.defaults.io


def _where(policy: Policy, broken: _Broken) -> str:
    """In the profiles a and b, on vCPUs 0-1; nothing where it is so everywhere."""
    profiles = list(dict.fromkeys(variant.profile for variant in broken.where))
    classes = sorted({variant.vcpu_class for variant in broken.where})
    parts = []
    if len(profiles) < 1 + len(policy.profiles):
        named = [f"`{name}`" for name in profiles if name is not None]
        base = ["outside profiles"] if None in profiles else []
        some = [f"in the profile{'s' * (len(named) > 1)} {_joined(named)}"] if named else []
        parts.append(" and ".join([*base, *some]))
    if len(classes) < sum(1 for each in policy.vcpu_classes if each.vcpus):
        shown = [policy.vcpu_classes[index].name.replace("_", ", ") for index in classes]
        parts.append(f"on vCPUs {_joined(['all others' if name == 'rest' else name for name in shown])}")
    return ", ".join(parts)


def _joined(parts: list[str]) -> str:
    if len(parts) > 6:
        return f"{', '.join(parts[:5])} and {len(parts) - 5} more"
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
