"""A policy that is edited: after each change only the statements are resolved again whose meaning may have changed.

What a rule means depends on its own text and on the names in it. So its result is kept with its node (which
``policyc.syntax.reparse`` keeps while its text stays) and with the names that it asked for, and is good as long as these
mean the same. What a policy needs as a whole (defaults, profiles, vCPU classes) is made anew each time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from policyc.semantics.addresses import Names
from policyc.semantics.modules import Graph, Loaded
from policyc.semantics.policy import Assertion, Never, Rule
from policyc.semantics.resolve import Resolver
from policyc.semantics.rules import RuleReader
from policyc.semantics.scope import Scope
from policyc.syntax import tree
from policyc.vocabulary.diagnostic import ERROR, Diagnostic
from policyc.vocabulary.intervals import Intervals

MOST_DEAD = 1000
"""Results of statements that are gone, beside as many as there are living ones, that are kept before they are dropped."""

Node = tree.Rule | tree.Assert | tree.Never


class WatchedScope(Scope):
    """A scope that notes which names it is asked for: ``asked``, members as ``module.name``."""

    def __init__(self, database: Names) -> None:
        super().__init__(database)
        self.asked: set[str] = set()

    def number(
        self, expr: tree.Expr, problems: list[Diagnostic], space: str | None = None, depth: int = 0
    ) -> int | None:
        self._note(expr)
        return super().number(expr, problems, space, depth)

    def _named(self, expr: tree.Expr, space: str, problems: list[Diagnostic]) -> Intervals | None:
        self._note(expr)
        return super()._named(expr, space, problems)

    def _note(self, expr: tree.Expr) -> None:
        if isinstance(expr, tree.Name):
            self.asked.add(expr.text)
        elif isinstance(expr, tree.Member):
            self.asked.add(f"{expr.module.text}.{expr.name.text}")

    def meanings(self) -> dict[str, object]:
        """What every definition stands for. One that could not be resolved means something new each time."""
        out: dict[str, object] = {}
        for name, let in self.lets.items():
            if isinstance(let, tree.LetConst):
                number = self._numbers.get(name)
                out[name] = object() if number is None else number
            else:
                ranges = self._sets.get(name)
                out[name] = object() if ranges is None else (let.space.text, ranges)
        return out


class Kept(NamedTuple):
    """The result of one statement. asked: names that it depends on. plain: the result, if it is a rule that has to do
    with no other statement: no label, no function that others may call otherwise."""

    node: Node
    module: int
    profile: str | None
    result: Rule | Assertion | Never
    problems: tuple[Diagnostic, ...]
    asked: frozenset[str]
    plain: Rule | None


class Memory:
    """What one policy's resolution leaves for the next one. rules: as they were first read, which numbers do not change
    with the place; a rule is the same object there as long as nothing that it depends on has changed."""

    def __init__(self) -> None:
        self.kept: dict[int, Kept] = {}
        self.definitions: object = None
        self.scopes: dict[str, Scope] = {}
        self.meanings: dict[str, dict[str, object]] = {}
        self.problems: tuple[Diagnostic, ...] = ()
        self.rules: list[Rule] = []


class AgainResolver(Resolver):
    """A Resolver that uses, and renews, what the last one of the same policy found out."""

    def __init__(self, database: Names, targets: tuple[str, ...], problems: list[Diagnostic], memory: Memory) -> None:
        super().__init__(database, targets, problems)
        self.memory = memory
        self.before = memory.kept
        self.changed: dict[int, frozenset[str]] = {}
        self.differ: frozenset[str] = frozenset()
        if len(memory.kept) > 2 * len(memory.rules) + MOST_DEAD:  # Else what is gone stays in it, and harms nobody.
            memory.kept = {}
        memory.rules = []

    # definitions

    def new_scope(self) -> Scope:
        return WatchedScope(self.database)

    def make_scopes(self, graph: Graph) -> dict[str, Scope]:
        """The scopes of the last time if no definition and no import has changed since."""
        memory = self.memory
        definitions = [(each.key, graph.aliases[each.key], _lets(each.module)) for each in graph.modules]
        if _same(definitions, memory.definitions):
            self.problems += memory.problems
            return memory.scopes
        before = len(self.problems)
        scopes = super().make_scopes(graph)
        self._compare(graph, scopes)
        memory.definitions, memory.scopes = definitions, scopes
        memory.problems = tuple(self.problems[before:])
        return scopes

    def _compare(self, graph: Graph, scopes: dict[str, Scope]) -> None:
        """Which names mean something else than the last time, for each file; all of them in a file whose imports changed."""
        memory = self.memory
        now = {key: scope.meanings() for key, scope in scopes.items() if isinstance(scope, WatchedScope)}
        differ: dict[str, frozenset[str]] = {}
        for key, meanings in now.items():
            old = memory.meanings.get(key, {})
            names = old.keys() | meanings.keys()
            differ[key] = frozenset(name for name in names if old.get(name, _NONE) != meanings.get(name, _NONE))
        aliases = {key: dict(each) for key, each in graph.aliases.items()}
        for key, own in aliases.items():
            there = {f"{alias}.{name}" for alias, to in own.items() if to is not None for name in differ[to]}
            self.changed[id(scopes[key])] = differ[key] | there
            if own != self._aliases(key):
                self.before = {number: each for number, each in self.before.items() if not each.asked}
        memory.meanings = now

    def _aliases(self, key: str) -> dict[str, str | None] | None:
        found = self.memory.definitions
        rows = found if isinstance(found, list) else []
        return next((aliases for name, aliases, _ in rows if name == key), None)

    # rules

    def module(self, number: int, loaded: Loaded) -> None:
        self.differ = self.changed.get(id(self.scopes[loaded.key]), frozenset())
        super().module(number, loaded)

    def rule(self, reader: RuleReader, node: Node, profile: str | None) -> None:
        memory = self.memory
        kept = self.before.get(id(node))
        if (
            kept is None
            or kept.profile != profile
            or kept.module != reader.module
            or (kept.asked and not kept.asked.isdisjoint(self.differ))
        ):
            kept = self._anew(reader, node, profile)
            if kept is None:
                self.before.pop(id(node), None)
                return
            memory.kept[id(node)] = kept
        elif kept.plain is None:
            self._add(reader, kept)
        else:  # The most usual case, without a further call.
            rules = self.sink.rules
            number = len(rules)
            rules.append(kept.plain if kept.plain.number == number else kept.plain._replace(number=number))
        if memory.kept is not self.before:
            memory.kept[id(node)] = kept
        if isinstance(kept.result, Rule):
            memory.rules.append(kept.result)

    def _anew(self, reader: RuleReader, node: Node, profile: str | None) -> Kept | None:
        """Read a statement; None if it has a mistake, which is then told anew each time."""
        assert isinstance(reader.scope, WatchedScope)
        reader.scope.asked = set()
        rules, asserts, nevers = self.sink.rules, self.sink.asserts, self.sink.nevers
        sizes = (len(rules), len(asserts), len(nevers))
        before = len(self.problems)
        reader.read(node, profile)
        problems = tuple(self.problems[before:])
        results: list[Rule | Assertion | Never] = [*rules[sizes[0] :], *asserts[sizes[1] :], *nevers[sizes[2] :]]
        if not results or any(each.severity == ERROR for each in problems):
            return None
        result = results[0]
        alone = isinstance(result, Rule) and result.label is None and result.actions[-1].name != "forward"
        plain = result if isinstance(result, Rule) and alone and not problems else None
        return Kept(node, reader.module, profile, result, problems, frozenset(reader.scope.asked), plain)

    def _add(self, reader: RuleReader, kept: Kept) -> None:
        """What reading the statement again would do."""
        result = kept.result
        self.problems += kept.problems
        if isinstance(result, Assertion):
            self.sink.asserts.append(result)
        elif isinstance(result, Never):
            self.sink.nevers.append(result)
        else:
            assert isinstance(kept.node, tree.Rule)
            if result.actions[-1].name == "forward" and kept.node.actions is not None:
                reader.handler(result.actions[-1].handler(), result.space, kept.node.actions[-1].span)
            reader.label(kept.node)
            number = len(self.sink.rules)
            self.sink.rules.append(result if result.number == number else result._replace(number=number))


_NONE = object()


def _lets(module: tree.Module) -> list[tree.LetSet | tree.LetConst]:
    return [each for each in module.statements if isinstance(each, tree.LetSet | tree.LetConst)]


def _same(one: Iterable[object], other: object) -> bool:
    """Whether definitions are those of the last time, node by node: as nodes are kept, not by what they say."""
    if not isinstance(other, list) or not isinstance(one, list) or len(one) != len(other):
        return False
    for (key, aliases, lets), (old_key, old_aliases, old_lets) in zip(one, other, strict=True):
        if key != old_key or aliases != old_aliases or len(lets) != len(old_lets):
            return False
        if any(let is not old for let, old in zip(lets, old_lets, strict=True)):
            return False
    return True
