"""From a policy's text to what a target has to say about it."""

from __future__ import annotations

from policyc.database.names import load
from policyc.semantics.decide import decide, variants
from policyc.semantics.modules import Loaded, LoadError
from policyc.semantics.policy import Policy
from policyc.semantics.resolve import resolve
from policyc.syntax.parser import parse
from policyc.targets.registry import NAMES, target
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.span import Source

DATABASE = load()


class Alone:
    """A loader for policies that import nothing."""

    def find(self, path: str, importer: str) -> str:
        raise LoadError("E036", f"no {path} here")

    def load(self, key: str) -> tuple[Loaded, list[Diagnostic]]:
        raise AssertionError(key)


def policy_of(text: str) -> Policy:
    module, found = parse(Source("vm.pol", text))
    main = Loaded("", "vm.pol", "vm.pol", module)
    return resolve(main, Alone(), DATABASE, name="vm", targets=NAMES, problems=found)[0]


def problems(name: str, text: str) -> list[Diagnostic]:
    policy = policy_of(text)
    return list(target(name).problems(policy, tuple(decide(policy, each) for each in variants(policy))))
