"""The compiled templates are what jinja2 makes of the templates' text."""

from __future__ import annotations

import pytest

from policyc.emitters import _templates, generate, handler
from policyc.semantics.decide import decide, variants
from tests.handler.samples import TARGETS, everything
from tests.semantics.policies import make


@pytest.mark.parametrize("name", generate.TEMPLATES)
def test_no_template_has_changed_since_it_was_compiled(name: str) -> None:
    assert _templates.DIGESTS[name] == generate.digest(name), "run python -m policyc.emitters.generate"


@pytest.mark.parametrize("policy", [make(), everything()], ids=["empty", "everything"])
@pytest.mark.parametrize("targets", [("vmx",), ("kvm",), TARGETS])
def test_jinja2_renders_the_same_text(policy, targets, monkeypatch) -> None:
    maps = {each: decide(policy, each) for each in variants(policy)}
    quick = handler.emit(policy, maps, targets)
    environment = generate.environment()
    monkeypatch.setattr(
        handler, "render", lambda name, variables: environment.from_string(generate.text(name)).render(variables)
    )
    assert handler.emit(policy, maps, targets) == quick
