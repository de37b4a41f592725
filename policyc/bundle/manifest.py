"""manifest.json: what a bundle is made of and from, and which line of the policy decides which addresses.

The form is policyc/schema/manifest-1.json. The bytes are a function of what is given: keys sorted, ASCII, LF, one list
item a line so that two manifests can be compared with ``diff``; no time, no absolute path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from policyc import __version__
from policyc.analyses.excess import Excess, excess
from policyc.analyses.obligations import Obligation, Registers, obligations
from policyc.bundle.layout import FileEntry, Layout
from policyc.bundle.read import FORMAT_VERSION, MANIFEST, MAX_BUNDLE, MAX_MANIFEST
from policyc.proof.mismatch import Proof
from policyc.semantics.policy import Actions, DecisionMap, Policy, Rule, Run, Variant
from policyc.semantics.wording import action_text, condition_text
from policyc.targets.base import Image
from policyc.targets.registry import target
from policyc.targets.selection import Selection
from policyc.vocabulary.access import COLUMN_NAMES
from policyc.vocabulary.diagnostic import PolicyError, error
from policyc.vocabulary.digest import sha256

T = TypeVar("T")


class Contents(NamedTuple):
    """Everything a manifest tells. profile: what ``--profile`` named. maps: of the variants in the bundle. files: all
    but the manifest. registers: the database, asked which MSRs a guest leaves behind."""

    policy: Policy
    profile: str | None
    maps: Mapping[Variant, DecisionMap]
    selection: Selection
    layout: Layout
    files: tuple[Image, ...]
    sources: tuple[FileEntry, ...]
    proof: Proof
    registers: Registers


def manifest(contents: Contents) -> Image:
    """The manifest file. Raises PolicyError E004 for a bundle that ``policyc.bundle.read`` would refuse as too large."""
    policy = contents.policy
    runs: _Once[tuple[Run, ...]] = _Once()
    owed: _Once[tuple[Obligation, ...]] = _Once()
    variants = [_variant(contents, variant, runs, owed) for variant in contents.maps]
    document = {
        "format_version": FORMAT_VERSION,
        "policyc": __version__,
        "language": policy.language,
        "database": policy.database_version,
        "policy": policy.name,
        "profile": contents.profile,
        "targets": contents.selection.targets,
        "left_out": [each._asdict() for each in contents.selection.left_out],
        "files": [_entry(each) for each in sorted(contents.files)],
        "sources": [each._asdict() for each in contents.sources],
        "settings": [
            {"target": name, **setting._asdict()}
            for name in contents.selection.targets
            for setting in target(name).settings()
        ],
        "vcpu_classes": [each._asdict() for each in policy.vcpu_classes],
        "profiles": [{"name": each.name, "extends": each.parents} for each in policy.profiles],
        "rules": [_rule(policy, rule) for rule in policy.rules],
        "variants": variants,
        "decisions": runs.values,
        "obligations": [[each._asdict() for each in obligations] for obligations in owed.values],
        "proof": {
            "compared": [each._asdict() for each in contents.proof.compared],
            "variants": contents.proof.variants,
            "shared": contents.proof.shared,
        },
    }
    data = _written(document).encode("ascii")
    _limit("manifest.json", len(data), MAX_MANIFEST)
    _limit("the bundle", sum(len(each.data) for each in contents.files), MAX_BUNDLE)
    return Image(MANIFEST, data)


def _limit(what: str, size: int, most: int) -> None:
    if size > most:
        said = f"{what} would have {size:,} bytes, and is read up to {most:,}"
        raise PolicyError([error("E004", said, None, helps=("compile fewer profiles at a time, with --profile",))])


class _Once(Generic[T]):
    """Values that many variants share; each stands in the manifest once, and is referred to by its position."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self.known: dict[T, int] = {}

    def number(self, value: T) -> int:
        number = self.known.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


def _variant(
    contents: Contents, variant: Variant, runs: _Once[tuple[Run, ...]], owed: _Once[tuple[Obligation, ...]]
) -> dict[str, object]:
    policy, decisions = contents.policy, contents.maps[variant]
    defaults = decisions.defaults
    return {
        "profile": variant.profile,
        "vcpu_class": variant.vcpu_class,
        "defaults": {
            "msr": _actions(defaults.msr.actions),
            "io": _actions(defaults.io.actions),
            "outside": _actions(defaults.outside),
        },
        "decisions": {name: runs.number(each) for name, each in zip(COLUMN_NAMES, decisions.columns, strict=True)},
        "images": contents.layout.paths[variant],
        "excess": _excess(excess(policy, decisions)),
        "obligations": {
            name: owed.number(obligations(policy, decisions, name, contents.registers))
            for name in contents.selection.targets
        },
    }


def _excess(found: Excess) -> dict[str, object]:
    return {
        "total": found.total,
        "width": found.width,
        "direction": found.direction,
        "past_last_port": found.past_last_port,
        "by_rule": found.by_rule,
    }


def _rule(policy: Policy, rule: Rule) -> dict[str, object]:
    return {
        "number": rule.number,
        "file": policy.modules[rule.module].path,
        "line": rule.span.line,
        "label": rule.label,
        "profile": rule.profile,
        "verb": rule.verb,
        "space": rule.space,
        "ranges": rule.ranges,
        "columns": [name for column, name in enumerate(COLUMN_NAMES) if rule.columns >> column & 1],
        "conditions": [condition_text(each) for each in rule.conditions],
        "actions": _actions(rule.actions),
    }


def _actions(actions: Actions) -> list[str]:
    return [action_text(each) for each in actions]


def _entry(file: Image) -> dict[str, object]:
    return FileEntry(file.name, len(file.data), sha256(file.data).hexdigest())._asdict()


def _written(document: Mapping[str, Any]) -> str:
    """JSON with one member of the document a line, and one item a line where a member is a list of objects or lists."""
    import json

    def line(value: object) -> str:
        return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(", ", ": "), allow_nan=False)

    members = []
    for key in sorted(document):
        value = document[key]
        if isinstance(value, list) and value and not isinstance(value[0], str):
            text = "[\n" + ",\n".join(f"  {line(each)}" for each in value) + "\n ]"
        else:
            text = line(value)
        members.append(f" {line(key)}: {text}")
    return "{\n" + ",\n".join(members) + "\n}\n"
