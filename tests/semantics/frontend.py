"""The whole front end over texts in memory: what `policyc check` finds in a file and in those that it imports."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from policyc.database.names import Database, load
from policyc.semantics.check import check
from policyc.semantics.decide import decide, variants
from policyc.semantics.modules import MAIN, Loaded, LoadError
from policyc.semantics.outcomes import failures, run_tests
from policyc.semantics.policy import Policy
from policyc.semantics.resolve import resolve
from policyc.syntax import tree
from policyc.syntax.parser import parse
from policyc.syntax.reader import decode
from policyc.vocabulary.diagnostic import Diagnostic, PolicyError
from policyc.vocabulary.span import Source

TARGETS = ("vmx", "svm", "kvm")
HEAD = "language 1\ndefault passthrough\n"
"""Two lines that keep Y701 and Y702 away: a test's own text begins on line 3."""

FILES: dict[str, str | bytes] = {
    "a.pol": "language 1\nintercept io 0x3f8..0x3ff -> forward(uart)\n",
    "b.pol": "language 1\nlet io X = 0x60\nallow io 0x3f8 in\n",
    "c.pol": "language 1\nintercept io 0x3f0..0x3f8 out -> kill\n",
    "lib/b.pol": "language 1\n",
    "baseline.pol": "language 1\nnever allow msr IA32_FEATURE_CONTROL write\n",
}
"""What the policies of these tests import."""

FILES: dict[str, str | bytes] = {
    "a.pol": "language 1\nintercept io 0x3f8..0x3ff -> forward(uart)\n",
    "b.pol": "language 1\nlet io X = 0x60\nallow io 0x3f8 in\n",
    "c.pol": "language 1\nintercept io 0x3f0..0x3f8 out -> kill\n",
    "lib/b.pol": "language 1\n",
    "baseline.pol": "language 1\nnever allow msr IA32_FEATURE_CONTROL write\n",
}
"""What the policies of these tests import."""

FILES: dict[str, str | bytes] = {
    "a.pol": "language 1\nintercept io 0x3f8..0x3ff -> forward(uart)\n",
    "b.pol": "language 1\nlet io X = 0x60\nallow io 0x3f8 in\n",
    "c.pol": "language 1\nintercept io 0x3f0..0x3f8 out -> kill\n",
    "lib/b.pol": "language 1\n",
    "baseline.pol": "language 1\nnever allow msr IA32_FEATURE_CONTROL write\n",
}
"""What the policies of these tests import."""


@cache
def database() -> Database:
    return load()


class Memory:
    """A loader over a dict of texts, by name."""

    def __init__(self, files: dict[str, str | bytes]) -> None:
        self.files = files

    def find(self, path: str, importer: str) -> str:
        if path not in self.files:
            raise LoadError("E036", f"there is no file `{path}`", "check the path")
        return path

    def load(self, key: str) -> tuple[Loaded, list[Diagnostic]]:
        return loaded(key, key, self.files[key])


def loaded(key: str, name: str, text: str | bytes) -> tuple[Loaded, list[Diagnostic]]:
    try:
        module, problems = parse(decode(name, text.encode() if isinstance(text, str) else text))
    except PolicyError as reason:
        return Loaded(key, name, name, tree.Module(Source(name, ""), (), (), ())), list(reason.diagnostics)
    return Loaded(key, name, name, module), problems


def front(text: str | bytes, files: dict[str, str | bytes] | None = None) -> tuple[Policy | None, list[Diagnostic]]:
    """The policy, None where it does not resolve, and everything that is said about it, in source order."""
    try:
        module, problems = parse(decode("vm.pol", text.encode() if isinstance(text, str) else text))
        main = Loaded(MAIN, "vm.pol", "vm.pol", module)
        policy, said = resolve(
            main, Memory({} if files is None else files), database(), name="vm", targets=TARGETS, problems=problems
        )
    except PolicyError as reason:
        return None, list(reason.diagnostics)
    maps = {each: decide(policy, each) for each in variants(policy)}
    found = [*said, *check(policy, maps, database()), *failures(run_tests(policy, maps, database()))]
    return policy, sorted(found, key=Diagnostic.sort_key)


class Told(NamedTuple):
    """A finding as tests pin it. at: file:line:column."""

    code: str
    at: str
    message: str
    remedy: str


def told(text: str | bytes, files: dict[str, str | bytes] | None = None) -> list[Told]:
    """Everything that is said; remedy: all helps, and the titles of the fixes where there is no help."""
    return [brief(each) for each in front(text, files)[1]]


def brief(each: Diagnostic) -> Told:
    assert each.primary is not None
    span = each.primary.span
    at = (
        f"{span.line}:{span.column}"
        if span.source.name == "vm.pol"
        else f"{span.source.name}:{span.line}:{span.column}"
    )
    remedy = " | ".join(each.helps) or " | ".join(fix.title for fix in each.fixes)
    return Told(each.code, at, each.message, remedy)
