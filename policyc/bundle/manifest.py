"""manifest.json: what a bundle is made of and from, and which line of the policy decides which addresses.

The form is policyc/schema/manifest-1.json. The bytes are a function of what is given: keys sorted, ASCII, LF, one list
item a line so that two manifests can be compared with ``diff``; no time, no absolute path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from policyc import __version__
from policyc.bundle.layout import FileEntry, Layout
from policyc.bundle.read import FORMAT_VERSION, MANIFEST
from policyc.proof.mismatch import Proof
from policyc.semantics.policy import Actions, DecisionMap, Policy, Rule, Run, Variant
from policyc.semantics.wording import action_text
from policyc.targets.base import Image, Setting
from policyc.targets.selection import LeftOut
from policyc.vocabulary.access import COLUMN_NAMES


class Contents(NamedTuple):
    """Everything a manifest tells. files: all but the manifest. profile: what ``--profile`` named. settings: by target."""

    policy: Policy
    profile: str | None
    maps: Mapping[Variant, DecisionMap]
    settings: Mapping[str, tuple[Setting, ...]]
    left_out: tuple[LeftOut, ...]
    layout: Layout
    files: tuple[Image, ...]
    sources: tuple[FileEntry, ...]
    proof: Proof


def manifest(contents: Contents) -> Image:
    """The manifest file."""
    policy = contents.policy
    runs = _Runs()
    variants = [_variant(contents, variant, runs) for variant in contents.maps]
    document = {
        "format_version": FORMAT_VERSION,
        "policyc": __version__,
        "language": policy.language,
        "database": policy.database_version,
        "policy": policy.name,
        "profile": contents.profile,
        "targets": list(contents.settings),
        "left_out": [each._asdict() for each in contents.left_out],
        "files": [_entry(each) for each in sorted(contents.files)],
        "sources": [each._asdict() for each in contents.sources],
        "settings": [
            {"target": target, **setting._asdict()} for target, each in contents.settings.items() for setting in each
        ],
        "vcpu_classes": [each._asdict() for each in policy.vcpu_classes],
        "profiles": [{"name": each.name, "extends": each.parents} for each in policy.profiles],
        "rules": [_rule(policy, rule) for rule in policy.rules],
        "variants": variants,
        "decisions": runs.lists,
        "proof": {
            "compared": [each._asdict() for each in contents.proof.compared],
            "variants": contents.proof.variants,
            "shared": contents.proof.shared,
        },
    }
    return Image(MANIFEST, _written(document).encode("ascii"))


class _Runs:
    """The lists of runs that the variants refer to, each once."""

    def __init__(self) -> None:
        self.lists: list[Sequence[Run]] = []
        self.known: dict[tuple[Run, ...], int] = {}

    def number(self, runs: tuple[Run, ...]) -> int:
        number = self.known.setdefault(runs, len(self.lists))
        if number == len(self.lists):
            self.lists.append(runs)
        return number


def _variant(contents: Contents, variant: Variant, runs: _Runs) -> dict[str, object]:
    decisions = contents.maps[variant]
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
    }


def _rule(policy: Policy, rule: Rule) -> dict[str, object]:
    return {
        "number": rule.number,
        "file": policy.modules[rule.module].path,
        "line": rule.span.line,
        "label": rule.label,
        "profile": rule.profile,
        "verb": rule.verb,
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
