"""The policy that a bundle's manifest tells, in a form that the evaluator reads.

A bundle holds no policy. Its manifest says, for every address, which rules are asked in which order; that is enough to
ask ``policyc.proof.evaluate`` about any access, and to name the line that decided it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from policyc.bundle.read import BundleVariant, Manifest
from policyc.proof.evaluate import Reading, Verdict, judge, read
from policyc.proof.expected import KIND_NAMES, Evaluator, Sheet
from policyc.runtime.words import actions, condition
from policyc.semantics.policy import (
    DEFAULT_RULE,
    PASSTHROUGH,
    Default,
    Defaults,
    Policy,
    Rule,
    Variant,
    VcpuClass,
)
from policyc.vocabulary.access import COLUMN_NAMES, COLUMN_WIDTHS, IO, MSR, Access, column_space
from policyc.vocabulary.intervals import normal
from policyc.vocabulary.span import Source, Span

_TOP_LAYER = 1 << 20
_NOWHERE = Span(Source("manifest.json", ""), 0, 0)


class Told(NamedTuple):
    """One variant of a bundle. origin: by number of a rule here, the manifest's rule."""

    reading: Reading
    origin: tuple[dict[str, Any], ...]
    msr: Sheet
    io: Sheet

    def verdict(self, access: Access, target: str) -> Verdict:
        return judge(self.reading, access, target)

    def rule(self, verdict: Verdict) -> str:
        """``vm.pol:9`` or ``vm.pol:9 (label)``; else why it is so."""
        if verdict.rule is None:
            return {"default": "the default", "outside-window": "the MSR has no bit"}.get(
                verdict.reason, "no rule: it runs past the last port"
            )
        rule = self.origin[verdict.rule]
        label = f" ({rule['label']})" if rule["label"] else ""
        return f"{rule['file']}:{rule['line']}{label}"


def told(manifest: Manifest, number: int, target: str) -> Told:
    """Variant ``number`` of a manifest, for one target."""
    document = manifest.document
    variant = manifest.variants[number]
    rules, origin = _rules(document, document["variants"][number])
    policy = _policy(manifest, variant, document["variants"][number]["defaults"], rules)
    reading = read(policy, Variant())
    evaluator = Evaluator(policy, frozenset((target,)))
    return Told(reading, origin, evaluator.sheet(reading, MSR), evaluator.sheet(reading, IO))


def _rules(document: Mapping[str, Any], variant: dict[str, Any]) -> tuple[tuple[Rule, ...], tuple[dict[str, Any], ...]]:
    """One rule for each place that a rule of the policy has in a column's chains."""
    ranges: dict[tuple[int, int, int, bool], list[tuple[int, int]]] = {}
    for column, name in enumerate(COLUMN_NAMES):
        for lo, hi, chain in document["decisions"][variant["decisions"][name]]:
            for place, link in enumerate(chain):
                if link != DEFAULT_RULE:
                    key = (link, column, place, place == len(chain) - 1)
                    ranges.setdefault(key, []).append((lo, hi))
    rules: list[Rule] = []
    origin: list[dict[str, Any]] = []
    for (link, column, place, last), where in ranges.items():
        told = document["rules"][link]
        rules.append(
            Rule(
                number=len(rules),
                verb=told["verb"],
                space=column_space(column),
                ranges=normal(where),
                columns=1 << column,
                conditions=() if last else tuple(condition(each) for each in told["conditions"]),
                vcpus=None,
                actions=PASSTHROUGH if told["verb"] == "allow" else actions(told["actions"]),
                layer=_TOP_LAYER - place,
                profile=None,
                module=0,
                label=told["label"],
                doc=(),
                span=_NOWHERE,
                statement=_NOWHERE,
            )
        )
        origin.append(told)
    return tuple(rules), tuple(origin)


def _policy(manifest: Manifest, variant: BundleVariant, defaults: dict[str, Any], rules: tuple[Rule, ...]) -> Policy:
    def default(words: list[str]) -> Default:
        traps = words != ["passthrough"]
        return Default(traps, actions(words), None)

    name, vcpus = manifest.vcpu_classes[variant.vcpu_class]
    return Policy(
        name=manifest.policy,
        language=1,
        targets=(),
        defaults=Defaults(default(defaults["msr"]), default(defaults["io"]), actions(defaults["outside"]), None),
        rules=rules,
        profiles=(),
        vcpu_classes=(VcpuClass(name, vcpus),),
        asserts=(),
        nevers=(),
        tests=(),
        modules=(),
        database_version="",
    )


def access(column: int, address: int) -> Access:
    """The access of a column at an address."""
    return Access(KIND_NAMES[column], address, COLUMN_WIDTHS[column])
