"""A bundle's policy, as far as its manifest tells: the rules, what they do, and the decisions that were proven.

Enough to compare bundles by meaning. What stands only in the text is not there: comments, sets, tests, assertions, and
whether a default that passes everything on was written as an exit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from policyc.analyses.diff import Side
from policyc.bundle.folder import shown
from policyc.bundle.read import MANIFEST, Bundle, Manifest
from policyc.runtime.words import actions, condition
from policyc.semantics.policy import (
    LAYER_MAIN,
    PASSTHROUGH,
    DecisionMap,
    Default,
    Defaults,
    Policy,
    Profile,
    Rule,
    Run,
    Variant,
    VcpuClass,
)
from policyc.vocabulary.access import COLUMN_NAMES, MSR_LAST, MSR_WRITE, PORT_LAST
from policyc.vocabulary.diagnostic import UnreadableError
from policyc.vocabulary.span import Source, Span

_NOWHERE = Span(Source("", ""), 0, 0)


def recall(bundle: Bundle) -> Side:
    """The policy and its decisions. That of a bundle with one profile alone has it as its base as well.

    Raises UnreadableError for actions and conditions that policyc does not write, and where something is not told.
    """
    manifest = bundle.manifest
    for said in _untold(manifest):
        raise UnreadableError(f"cannot read the bundle {shown(bundle.path)}: {MANIFEST}: {said}")
    document = manifest.document
    only = manifest.profile
    sources: dict[str, Source] = {}
    rules = tuple(_rule(each, sources) for each in document["rules"])
    runs = [tuple(Run(lo, hi, tuple(chain)) for lo, hi, chain in each) for each in document["decisions"]]
    maps: dict[Variant, DecisionMap] = {}
    for each in document["variants"]:
        columns = tuple(runs[each["decisions"][name]] for name in COLUMN_NAMES)
        for profile in dict.fromkeys((each["profile"], None if each["profile"] == only else each["profile"])):
            variant = Variant(profile, each["vcpu_class"])
            maps[variant] = DecisionMap(variant, _defaults(each["defaults"]), columns)
    names = dict.fromkeys(variant.profile for variant in maps if variant.profile is not None)
    base = maps[Variant()].defaults
    profiles = tuple(
        Profile(name, (), (name,), maps[Variant(name)].defaults, (), _NOWHERE) for name in names
    )  # fmt: skip
    classes = tuple(VcpuClass(name, vcpus) for name, vcpus in manifest.vcpu_classes)
    targets = tuple((name, _NOWHERE) for name in manifest.targets)
    policy = Policy(
        manifest.policy, document["language"], targets, base, rules, profiles, classes, (), (), (), (),
        document["database"],
    )  # fmt: skip
    return Side(policy, maps)


def _untold(manifest: Manifest) -> Iterator[str]:
    """What the schema lets a manifest leave out, and a policy cannot be without."""
    decisions = manifest.document["decisions"]
    for number, each in enumerate(manifest.document["variants"]):
        for column, name in enumerate(COLUMN_NAMES):
            last = MSR_LAST if column <= MSR_WRITE else PORT_LAST
            if name not in each["decisions"] or decisions[each["decisions"][name]][-1][1] != last:
                yield f"variants[{number}].decisions: {name}: they do not end at {last:#x}"
        if not {"msr", "io", "outside"} <= set(each["defaults"]):
            yield f"variants[{number}].defaults: one of msr, io and outside is missing"
    conditional = [bool(each["conditions"]) for each in manifest.document["rules"]]
    chains = {tuple(chain) for runs in decisions for _, _, chain in runs}
    for chain in sorted(chains):
        if any(each < 0 or not conditional[each] for each in chain[:-1]) or (chain[-1] >= 0 and conditional[chain[-1]]):
            yield f"decisions: {list(chain)}: all rules but the last have conditions, the last has none"
    known = {(each.profile, each.vcpu_class) for each in manifest.variants}
    classes = range(len(manifest.vcpu_classes))
    needed = {(each, number) for each in (manifest.profile, *(each[0] for each in known)) for number in classes}
    if needed - known:
        yield "variants: not every profile is there for every class of vCPUs"


def _rule(rule: Mapping[str, Any], sources: dict[str, Source]) -> Rule:
    """Its text is not in the manifest; its place is."""
    name, line = rule["file"], rule["line"]
    lines = sources.get(name)
    if lines is None or lines.line_count < line:
        lines = sources[name] = Source(name, "\n" * line)
    span = Span(lines, line - 1, line - 1)
    columns = sum(1 << COLUMN_NAMES.index(each) for each in rule["columns"])
    ranges = tuple((lo, hi) for lo, hi in rule["ranges"])
    conditions = tuple(condition(each) for each in rule["conditions"])
    return Rule(
        rule["number"], rule["verb"], rule["space"], ranges, columns, conditions, None, actions(rule["actions"]),
        LAYER_MAIN, rule["profile"], 0, rule["label"], (), span, span,
    )  # fmt: skip


def _defaults(said: Mapping[str, list[str]]) -> Defaults:
    msr, io = (actions(said[space]) for space in ("msr", "io"))
    return Defaults(
        Default(msr != PASSTHROUGH, msr, None), Default(io != PASSTHROUGH, io, None), actions(said["outside"]), None
    )
