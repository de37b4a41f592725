"""A policy and the document made of it are one policy: the same images, the same handler, the same places."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policyc.bundle.schema import violation
from policyc.database.names import load
from policyc.ir.emit import emit
from policyc.ir.read import ir_schema, resolved
from policyc.pipeline import compile_policy, front, front_ir
from policyc.semantics.policy import Policy
from policyc.targets.registry import NAMES
from policyc.vocabulary.access import IN_MASK, IO, MSR_READ
from policyc.vocabulary.diagnostic import ERROR, PolicyError
from policyc.vocabulary.span import Source
from tests.docs.test_policies import BLOCKS
from tests.ir.shape import said
from tests.semantics.naive_chain import drafts
from tests.semantics.policies import KILL, Draft, defaults, make, profile

ROOT = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.pol"))
RESOLVED = [each for each in BLOCKS if not each.codes]


def back(policy: Policy) -> Policy:
    found, diagnostics = resolved(Source("vm.json", emit(policy)), "vm.json", load(()), NAMES)
    assert [each for each in diagnostics if each.severity == ERROR] == []
    return found


@pytest.mark.parametrize("name", [each for each in EXAMPLES if each != "baseline.pol"])
def test_an_example_and_its_document_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    path = tmp_path / "resolved.json"
    path.write_text(emit(front(str(ROOT / name), database=load(())).policy))
    ours, theirs = compile_policy(str(ROOT / name)), compile_policy(str(path), reader=front_ir)
    manifests = [json.loads(each.files[-1].data) for each in (ours, theirs)]
    for each in manifests:
        assert each.pop("sources")
    assert manifests[0] == manifests[1]
    assert ours.files[:-1] == theirs.files[:-1]
    assert said(ours.policy) == said(theirs.policy)
    lint = [each for each in ours.diagnostics if each.code[0] != "Y"]
    assert [each[:3] for each in theirs.diagnostics] == [each[:3] for each in lint]


@pytest.mark.parametrize("block", RESOLVED, ids=[f"{each.page}:{each.line}" for each in RESOLVED])
def test_every_policy_of_the_documentation_comes_back_as_it_was(block, tmp_path: Path) -> None:
    path = tmp_path / "vm.pol"
    path.write_text(block.text)
    try:
        policy = front(str(path), database=load(())).policy
    except PolicyError:
        pytest.fail("it resolves: tests/docs compiles it")
    assert said(back(policy)) == said(policy)
    assert emit(back(policy)) == emit(policy)


PROFILES = (
    profile("base", own=defaults(io=KILL)),
    profile("child", ("base",), ("base", "child"), own=defaults(msr=KILL)),
    profile("other"),
)


def legal(draft: Draft) -> Draft:
    """As the language would have it: a constant answers reads, a profile stands in the main file."""
    reads = 1 << MSR_READ | IN_MASK
    if draft.actions[-1].name == "const" and draft.columns & ~reads:
        draft = draft._replace(actions=KILL)
    if draft.profile is not None:
        draft = draft._replace(module=0)
    return draft


@settings(deadline=None, max_examples=150)
@given(st.lists(drafts(), max_size=10))
def test_a_random_policy_comes_back_with_every_rule_in_its_place_and_layer(some) -> None:
    policy = make(*map(legal, some), profiles=PROFILES)
    found = back(policy)
    assert said(found._replace(vcpu_classes=())) == said(policy._replace(vcpu_classes=()))
    assert [each.vcpus for each in found.vcpu_classes] == [each.vcpus for each in policy.vcpu_classes]


@settings(deadline=None, max_examples=40)
@given(st.lists(drafts(), max_size=10))
def test_every_document_fits_the_schema_by_an_independent_validator(some) -> None:
    document = json.loads(emit(make(*map(legal, some), profiles=PROFILES)))
    jsonschema.Draft202012Validator(ir_schema()).validate(document)
    assert violation(document, ir_schema()) is None


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(ir_schema())


def test_a_statement_over_several_lines_with_carriage_returns_keeps_its_line(tmp_path: Path) -> None:
    path = tmp_path / "vm.pol"
    text = "language 1\ndefault passthrough\nrules:\\\n  intercept io {\n\t0x10, # ten\n\t0x20 }\nallow msr 0x20\n"
    path.write_bytes(text.replace("\n", "\r\n").encode())
    policy = front(str(path), database=load(())).policy
    found = back(policy)
    assert [(each.statement.line, each.span.line, each.span.column) for each in found.rules] == [(3, 4, 16), (7, 7, 11)]
    assert said(found) == said(policy)


def test_columns_that_no_statement_names_are_refused() -> None:
    draft = Draft("intercept", IO, ((1, 1),), 1 << 2 | 1 << 6, KILL)
    with pytest.raises(ValueError, match="no access word"):
        emit(make(draft))
