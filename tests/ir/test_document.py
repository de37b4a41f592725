"""Documents that nobody vouches for: each is refused with code, pointer, line and column, or compiles."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policyc.database.names import load
from policyc.ir.document import MAX_DEPTH, find, path_at, plain, pointer, read
from policyc.ir.emit import emit
from policyc.ir.read import resolved
from policyc.semantics.policy import LAYER_MAIN, LAYER_OVERRIDE, LAYER_PROFILE, Policy
from policyc.targets.registry import NAMES
from policyc.vocabulary.diagnostic import Diagnostic, PolicyError
from policyc.vocabulary.span import Source
from tests.bundle.bundles import compiled

LEAST: dict[str, Any] = {
    "format_version": 1,
    "policy": "vm",
    "language": 1,
    "database": "2026.11",
    "modules": [{"path": None}],
    "defaults": {
        "msr": {"verdict": "passthrough"},
        "io": {"verdict": "passthrough"},
        "outside": {"actions": [{"name": "exit"}]},
    },
    "rules": [],
}
RULE: dict[str, Any] = {"verb": "intercept", "space": "io", "ranges": [[0x3F8, 0x3FF]], "access": "inout"}


def parsed(document: Any) -> tuple[Policy, tuple[Diagnostic, ...]]:
    text = document if isinstance(document, str) else json.dumps(document, indent=1)
    return resolved(Source("vm.json", text), "vm.json", load(()), NAMES)


def refused(document: Any) -> list[tuple[str, str]]:
    """Code and label of each diagnostic."""
    with pytest.raises(PolicyError) as reason:
        parsed(document)
    return [(each.code, each.primary.text) for each in reason.value.diagnostics]


def with_rule(**changes: Any) -> dict[str, Any]:
    rule = {key: value for key, value in {**RULE, **changes}.items() if value is not None}
    return {**LEAST, "rules": [rule], "profiles": [{"name": "run", "defaults": LEAST["defaults"]}]}


def test_the_least_document_a_front_end_can_write_is_a_policy() -> None:
    policy, diagnostics = parsed(with_rule())
    (rule,) = policy.rules
    assert (rule.ranges, rule.columns, rule.layer, rule.actions[0].name) == (
        ((0x3F8, 0x3FF),),
        0xFC,
        LAYER_MAIN,
        "exit",
    )
    assert diagnostics == ()


def test_a_rule_without_a_file_is_shown_in_the_language_at_its_line_of_the_document() -> None:
    text = json.dumps(with_rule(label="uart", widths=[1, 4], override=True), indent=1)
    (rule,) = parsed(text)[0].rules
    assert rule.statement.text == "uart: override intercept io 0x3f8..0x3ff inout width 1, 4"
    assert rule.span.text == "0x3f8..0x3ff"
    assert text.splitlines()[rule.statement.line : rule.statement.line + 1] == ['   "verb": "intercept",']
    assert rule.statement.source.name == "vm.json"


def test_what_can_be_worked_out_is_worked_out() -> None:
    document = with_rule(profile="run", vcpus=[[2, 3], [1, 1]], ranges=[[9, 9], [5, 8], [7, 8]])
    document["rules"].append({**RULE, "override": True})
    document["profiles"].append({"name": "deep", "extends": ["run"], "defaults": LEAST["defaults"]})
    policy, _ = parsed(document)
    assert [each.layer for each in policy.rules] == [LAYER_PROFILE, LAYER_OVERRIDE]
    assert policy.rules[0].ranges == ((5, 9),)
    assert [each.name for each in policy.vcpu_classes] == ["rest", "1-3"]
    assert [each.lineage for each in policy.profiles] == [("run",), ("run", "deep")]


@pytest.mark.parametrize(
    ("changes", "code", "label"),
    [
        ({"verb": "permit"}, "E092", "/rules/0/verb"),
        ({"verb": None}, "E092", "/rules/0"),
        ({"vcpu": [[0, 0]]}, "E092", "/rules/0/vcpu"),
        ({"ranges": [[0, 4294967296]]}, "E092", "/rules/0/ranges/0/1"),
        ({"ranges": [[True, 1]]}, "E092", "/rules/0/ranges/0/0"),
        ({"ranges": [[0x3FF, 0x3F8]]}, "E021", "/rules/0/ranges/0: empty: the low end must come first"),
        ({"ranges": [[0xFFFF, 0x10000]]}, "E022", "/rules/0/ranges/0/1: ports end at 0xffff"),
        ({"access": "write"}, "E051", "/rules/0/access: ports are meant here"),
        ({"space": "msr", "access": "rw", "widths": [1]}, "E053", "/rules/0/widths/0: always 64 bits"),
        ({"widths": [3]}, "E092", "/rules/0/widths/0"),
        ({"actions": [{"name": "explode"}]}, "E038", "/rules/0/actions/0/name"),
        ({"actions": [{"name": "kill"}, {"name": "exit"}]}, "E064", "/rules/0/actions/1"),
        ({"actions": [{"name": "const", "value": "0x1"}]}, "E061", "/rules/0/actions/0"),
        ({"actions": [{"name": "const"}], "access": "in"}, "E067", "/rules/0/actions/0"),
        ({"actions": [{"name": "const", "value": 5}], "access": "in"}, "E092", "/rules/0/actions/0/value"),
        ({"actions": [{"name": "forward", "handler": "while"}]}, "E066", "/rules/0/actions/0/handler"),
        ({"actions": [{"name": "forward", "handler": "a(); system"}]}, "E092", "/rules/0/actions/0/handler"),
        ({"actions": [{"name": "inject", "vector": "pf"}]}, "E067", "/rules/0/actions/0/vector"),
        ({"verb": "allow", "actions": [{"name": "passthrough"}]}, "E061", "/rules/0/actions/0"),
        ({"verb": "deny"}, "E061", "/rules/0/verb"),
        ({"when": [{"subject": "cpl", "op": "==", "operand": "0x4"}]}, "E068", "/rules/0/when/0"),
        ({"vcpus": [[0, 4096]]}, "E025", "/rules/0/vcpus/0"),
        ({"label": "a b"}, "E092", "/rules/0/label"),
        ({"profile": "../../etc"}, "E092", "/rules/0/profile"),
        ({"profile": "rum"}, "E035", "/rules/0/profile"),
        ({"module": 1}, "E092", "/rules/0/module"),
        ({"at": {"line": 1, "text": "x"}}, "E092", "/rules/0/at"),
        ({"doc": ["two\nlines"]}, "E092", "/rules/0/doc/0"),
        ({"doc": ["turned \u202e round"]}, "E006", "/rules/0/doc/0"),
        ({"doc": ["half \ud800"]}, "E006", "/rules/0/doc/0"),
    ],
)
def test_a_wrong_rule_is_refused_where_it_is_wrong(changes: dict[str, Any], code: str, label: str) -> None:
    assert refused(with_rule(**changes)) == [(code, label)]


def test_a_file_s_statement_needs_its_place_and_its_text_holds_the_addresses() -> None:
    document = with_rule()
    document["modules"] = [{"path": "vm.pol"}]
    assert ("E092", "/rules/0") in refused(document)
    del document["profiles"]
    document["rules"][0]["at"] = {"line": 7, "text": "intercept io 0x3f8", "addresses": [13, 19]}
    assert refused(document) == [("E092", "/rules/0/at/addresses")]
    document["rules"][0]["at"]["addresses"] = [13, 18]
    (rule,) = parsed(document)[0].rules
    assert (rule.span.source.name, rule.span.line, rule.span.text) == ("vm.pol", 7, "0x3f8")


def test_places_far_apart_cost_no_memory_and_shared_ones_stand_side_by_side() -> None:
    document = with_rule()
    del document["profiles"]
    document["modules"] = [{"path": "vm.pol"}]
    place = {"column": 255, "text": "intercept io {\n 0x3f8 }"}
    document["rules"] = [{**RULE, "at": {**place, "line": line}} for line in (1, 16777217, 1, 2)]
    policy, _ = parsed(document)
    assert [each.statement.line for each in policy.rules] == [1, 16777217, 1, 2]
    assert len(policy.modules[0].source.text) < 2000


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ("", "E091", 1),
        ("{", "E091", 2),
        ('{"a": 1,}', "E091", 9),
        ('{"a" 1}', "E091", 6),
        ('{"a": 1 "b": 2}', "E091", 9),
        ('{"a": 1, "a": 2}', "E091", 10),
        ("[1 2]", "E091", 4),
        ("[1,]", "E091", 4),
        ("[1.5]", "E091", 2),
        ("[1e9]", "E091", 2),
        ("[01]", "E091", 2),
        ("[NaN]", "E091", 2),
        ("[truely]", "E091", 2),
        ('["\\x"]', "E091", 2),
        ('["a\tb"]', "E091", 2),
        (f"[{'9' * 5000}]", "E091", 2),
        ("[] []", "E091", 4),
        ("[" * 100_000, "E004", MAX_DEPTH + 1),
        ('{"a":' * 100_000, "E004", 5 * MAX_DEPTH + 1),
        ('{"format_version": 2}', "E092", 20),
        ("[]", "E092", 1),
        ("null", "E092", 1),
    ],
)
def test_text_that_is_no_document_is_refused_at_its_character(text: str, code: str, column: int) -> None:
    with pytest.raises(PolicyError) as reason:
        parsed(text)
    (found,) = reason.value.diagnostics
    assert (found.code, found.primary.span.column) == (code, column)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None, max_examples=200)
@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_values_are_those_of_pythons_own_reader_and_know_their_places(value, indent, ascii_only) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    root = read(Source("x.json", text))
    assert plain(root) == json.loads(text)
    stack = [((), root)]
    while stack:
        path, node = stack.pop()
        assert json.loads(text[node.start : node.end]) == plain(node)
        assert find(root, path) == node
        assert path_at(root, node.start) == path
        if isinstance(node.value, dict | list):
            inner = node.value.items() if isinstance(node.value, dict) else enumerate(node.value)
            stack += [((*path, key), each) for key, each in inner]


def test_pointers_are_escaped_as_rfc_6901_wants() -> None:
    assert pointer(("a/b", "m~n", 0)) == "/a~1b/m~0n/0"


def mutations(document: Any, rng: random.Random) -> Any:
    """One value somewhere replaced, removed or repeated."""
    changed = copy.deepcopy(document)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for key in keys:
            places.append((value, key))
            walk(value[key])

    walk(changed)
    holder, key = rng.choice(places)
    new = rng.choice(
        [None, True, -1, 0, 1, 4095, 65536, 1 << 32, 1 << 64, "", "gp", "0x10", "in", [], {}, [[5, 2]], "\0"]
    )
    if rng.random() < 0.2:
        del holder[key]
    elif rng.random() < 0.2 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    else:
        holder[key] = new
    return changed


def test_a_document_with_anything_changed_compiles_or_is_refused_with_a_place() -> None:
    document = json.loads(emit(compiled().policy))
    rng = random.Random(20261124)
    told = 0
    placeless = []
    for _ in range(400):
        try:
            policy, _ = parsed(mutations(document, rng))
        except PolicyError as reason:
            told += 1
            placeless += [each for each in reason.diagnostics if each.primary is None or not each.primary.text]
        else:
            parsed(emit(policy))
    assert placeless == []
    assert 200 < told < 400
