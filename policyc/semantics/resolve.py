"""Syntax trees to one resolved Policy: names looked up, sets flattened, defaults filled in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from policyc.semantics import vcpus
from policyc.semantics.addresses import Names, explain_number
from policyc.semantics.crowding import crowded
from policyc.semantics.defaults import OUTSIDE, DefaultReader
from policyc.semantics.limits import Patience, few
from policyc.semantics.modules import MAIN, Graph, Loaded, Loader, gather
from policyc.semantics.policy import (
    EXIT,
    PASSTHROUGH,
    Default,
    Defaults,
    ModuleInfo,
    Policy,
    Profile,
    Test,
)
from policyc.semantics.profiles import Lineage, lineages
from policyc.semantics.rules import RuleReader, Sink
from policyc.semantics.scope import Scope
from policyc.semantics.testcases import test_case
from policyc.semantics.wording import items_text
from policyc.syntax import tree
from policyc.vocabulary.access import IO, MSR
from policyc.vocabulary.diagnostic import ERROR, INFO, WARNING, Diagnostic, Edit, Fix, Label, PolicyError, error
from policyc.vocabulary.intervals import Intervals
from policyc.vocabulary.near import nearest
from policyc.vocabulary.span import Source, Span
from policyc.vocabulary.typed import NamedTuple

LANGUAGE = 1
"""The newest language version this compiler knows."""


class Written(NamedTuple):
    """A policy as it stands in its files, for those who look at words: lint, editors. scopes: what names mean, by key."""

    modules: tuple[Loaded, ...]
    scopes: Mapping[str, Scope]


class Reading(NamedTuple):
    """policy: None where one of the diagnostics is an error."""

    policy: Policy | None
    diagnostics: tuple[Diagnostic, ...]
    written: Written


def resolve(
    main: Loaded, loader: Loader, database: Names, *, name: str, targets: Iterable[str], problems: list[Diagnostic]
) -> tuple[Policy, tuple[Diagnostic, ...]]:
    """The policy, and its warnings and infos in source order.

    name: the policy's name, usually the stem of the file. targets: every target policyc knows. problems: what reading
    the main file got wrong. Raises PolicyError with all diagnostics if any of them is an error.
    """
    policy, diagnostics, _ = resolve_written(main, loader, database, name=name, targets=targets, problems=problems)
    return policy, diagnostics


def resolve_written(
    main: Loaded, loader: Loader, database: Names, *, name: str, targets: Iterable[str], problems: list[Diagnostic]
) -> tuple[Policy, tuple[Diagnostic, ...], Written]:
    """As resolve, with the trees and scopes that the policy was made of."""
    read = read_policy(main, loader, Resolver(database, tuple(targets), problems), name)
    if read.policy is None:
        raise PolicyError(read.diagnostics)
    return read.policy, read.diagnostics, read.written


def read_policy(main: Loaded, loader: Loader, resolver: Resolver, name: str) -> Reading:
    """As resolve_written, for those who go on whatever is wrong: an editor's text is wrong most of the time."""
    problems = resolver.problems
    policy = resolver.policy(gather(main, loader, problems), name)
    diagnostics = few(explain_number(resolver.database, each) for each in problems)
    written = Written(resolver.read, resolver.scopes)
    if any(each.severity == ERROR for each in diagnostics):
        return Reading(None, diagnostics, written)
    resolver.nothing_lost(policy)
    return Reading(policy, diagnostics, written)


def meaning(main: Loaded, loader: Loader, database: Names, space: str, items: tree.Items) -> Intervals | None:
    """The addresses that items stand for where the main file's own names hold; None where they stand for none.

    main: a file that resolves.
    """
    problems: list[Diagnostic] = []
    scopes = Resolver(database, (), problems).make_scopes(gather(main, loader, problems))
    return scopes[MAIN].items(space, items, None, problems)


class Resolver:
    """Makes one policy. problems: where everything that is wrong goes."""

    def __init__(self, database: Names, targets: tuple[str, ...], problems: list[Diagnostic]) -> None:
        self.database = database
        self.known_targets = targets
        self.problems = problems
        self.sink = Sink([], [], [], {}, problems)
        self.patience = Patience(problems)

    def policy(self, graph: Graph, name: str) -> Policy:
        self.read = graph.modules
        self.scopes = self.make_scopes(graph)
        main = graph.modules[0].module
        language = max([self.language(each) for each in graph.modules], default=LANGUAGE)
        targets = self.targets(graph)
        defaults = self.defaults(main.statements, main, None)
        self.profile_nodes = [each for each in main.statements if isinstance(each, tree.Profile)]
        found = lineages(self.profile_nodes, self.problems)
        profiles = self.profiles(found, defaults, main)
        for number, loaded in enumerate(graph.modules):
            self.module(number, loaded)
        tests = tuple(self.test(each) for each in main.statements if isinstance(each, tree.Test))
        if self.patience.spent():
            self.problems.append(self.patience.closing())
        classes = vcpus.classes(rule.vcpus for rule in self.sink.rules if rule.vcpus is not None)
        if len(classes) > 1:
            span = next(rule.span for rule in self.sink.rules if rule.vcpus is not None)
            self.problems += vcpus.too_many(len(classes), len(profiles), span)
        self.problems += crowded(self.sink.rules)
        modules = tuple(ModuleInfo(each.name, each.path, each.module.source) for each in graph.modules)
        return Policy(
            name, language, targets, defaults, tuple(self.sink.rules), tuple(profiles), classes,
            tuple(self.sink.asserts), tuple(self.sink.nevers), tests, modules,
            self.database.version,
        )  # fmt: skip

    def nothing_lost(self, policy: Policy) -> None:
        """Every statement read is in the policy: one dropped without an error would open a guest in silence."""
        written: Counter[type] = Counter()
        for each in self.read:
            written.update(map(type, each.module.statements))
        for profile in self.profile_nodes:
            written.update(map(type, profile.body))
        kept = {tree.Rule: policy.rules, tree.Assert: policy.asserts, tree.Never: policy.nevers}
        assert {kind: written[kind] for kind in kept} == {kind: len(each) for kind, each in kept.items()}
        tests = [each for each in self.read[0].module.statements if isinstance(each, tree.Test)]
        assert sum(len(each.cases) for each in tests) == sum(len(each.cases) for each in policy.tests)

    # files

    def make_scopes(self, graph: Graph) -> dict[str, Scope]:
        scopes = {each.key: self.new_scope() for each in graph.modules}
        for loaded in graph.modules:
            scope = scopes[loaded.key]
            scope.modules = {
                alias: None if key is None else scopes[key] for alias, key in graph.aliases[loaded.key].items()
            }
            for each in loaded.module.statements:
                if isinstance(each, tree.LetSet | tree.LetConst) and not self.patience.spent():
                    self.define(scope, each)
        for loaded in reversed(graph.modules):
            scopes[loaded.key].check_all(self.problems, self.patience)
        return scopes

    def new_scope(self) -> Scope:
        return Scope(self.database)

    def define(self, scope: Scope, let: tree.LetSet | tree.LetConst) -> None:
        name = let.name.text
        before = scope.lets.get(name)
        if before is not None:
            self.problems.append(
                error(
                    "E071",
                    f"`{name}` is defined twice",
                    let.name.span,
                    secondary=(Label(before.name.span, "first defined here"),),
                    helps=("give one of them another name",),
                )
            )
            return
        scope.lets[name] = let
        if not isinstance(let, tree.LetSet):
            return
        space = let.space.text
        known = self.database.msr(name) if space == MSR else self.database.port(name)
        if known is not None and not self.same(scope, let, known):
            word = "MSR" if space == MSR else "I/O port"
            meaning = items_text(known)
            self.problems.append(
                error(
                    "E071",
                    f"`{name}` is the name of an {word} ({meaning}), and this makes it something else",
                    let.name.span,
                    helps=(f"choose another name, such as {name}_SET: database names mean the same in every policy",),
                )
            )

    def same(self, scope: Scope, let: tree.LetSet | tree.LetConst, known: object) -> bool:
        """Whether a definition only repeats what the database says."""
        silent: list[Diagnostic] = []
        return isinstance(let, tree.LetSet) and scope.items(let.space.text, let.items, let.excepts, silent) == known

    def language(self, loaded: Loaded) -> int:
        statements = loaded.module.statements
        first = statements[0] if statements else None
        if not isinstance(first, tree.Language):
            if loaded.key == MAIN:
                start = Span(loaded.module.source, 0, 0)
                self.problems.append(
                    error(
                        "Y701",
                        "the policy does not say its language version",
                        start,
                        helps=("begin with: language 1",),
                        severity=INFO,
                    )
                )
            return LANGUAGE
        version = first.version.value
        if not 1 <= version <= LANGUAGE:
            self.problems.append(
                error(
                    "E081",
                    f"this policyc does not know language {version}",
                    first.version.span,
                    f"it knows language {LANGUAGE}",
                    helps=(f"write language {LANGUAGE}, or use a newer policyc",),
                )
            )
        return version

    def targets(self, graph: Graph) -> tuple[tuple[str, Span], ...]:
        found: dict[str, Span] = {}
        for loaded in graph.modules:
            for statement in loaded.module.statements:
                if isinstance(statement, tree.Target):
                    for name in statement.names:
                        if self.target(name, loaded.key):
                            found.setdefault(name.text, name.span)
        return tuple(found.items())

    def target(self, name: tree.Name, key: str) -> bool:
        if name.text not in self.known_targets:
            close = nearest(name.text, self.known_targets)
            helps = (f"did you mean `{close[0]}`?",) if close else (f"targets are {', '.join(self.known_targets)}",)
            self.problems.append(error("E037", f"there is no target `{name.text}`", name.span, helps=helps))
            return False
        if key != MAIN:
            self.problems.append(self.only_main("target", name.span))
            return False
        return True

    def only_main(self, what: str, span: Span) -> Diagnostic:
        return error(
            "E001",
            f"`{what}` stands in the main file only",
            span,
            "in an imported file",
            helps=("move it to the main file",),
        )

    def module(self, number: int, loaded: Loaded) -> None:
        """Rules, assertions and `never allow` of one file; what an imported file must not hold is told."""
        reader = RuleReader(self.scopes[loaded.key], number, self.sink)
        for statement in loaded.module.statements:
            if self.patience.spent():
                return
            if isinstance(statement, tree.Rule | tree.Assert | tree.Never):
                self.rule(reader, statement, None)
            elif isinstance(statement, tree.Profile):
                if loaded.key != MAIN:
                    self.problems.append(self.only_main("profile", statement.name.span))
                for each in statement.body:
                    if not isinstance(each, tree.Default) and not self.patience.spent():
                        self.rule(reader, each, statement.name.text)
            elif isinstance(statement, tree.Default) and loaded.key != MAIN:
                self.problems.append(self.only_main("default", statement.span))

    def rule(self, reader: RuleReader, node: tree.Rule | tree.Assert | tree.Never, profile: str | None) -> None:
        """One rule, assertion or `never allow` into the sink."""
        reader.read(node, profile)

    # defaults and profiles

    def defaults(self, statements: Iterable[tree.Statement], main: tree.Module, inherited: Defaults | None) -> Defaults:
        """What the `default` statements say over what is inherited (None: the file itself, which should say it all)."""
        reader = DefaultReader(self.scopes[MAIN], self.problems)
        found = reader.read([each for each in statements if isinstance(each, tree.Default)])
        if inherited is None:
            missing = [space for space in (MSR, IO) if space not in found]
            if missing:
                self.problems.append(_no_default(main.source, missing))
        base = inherited or Defaults(Default(False, PASSTHROUGH, None), Default(False, PASSTHROUGH, None), EXIT, None)
        outside = found.get(OUTSIDE)
        return Defaults(
            found.get(MSR, base.msr),
            found.get(IO, base.io),
            base.outside if outside is None else outside.actions,
            base.outside_span if outside is None else outside.span,
        )

    def profiles(self, found: list[Lineage], defaults: Defaults, main: tree.Module) -> list[Profile]:
        by_name = {each.profile.name.text: each for each in found}
        made: dict[str, Defaults] = {}
        profiles = []
        for each in found:
            inherited = self.inherited(each, by_name, made, defaults)
            made[each.profile.name.text] = self.defaults(each.profile.body, main, inherited)
            node = each.profile
            parents = tuple(parent.text for parent in node.parents)
            profiles.append(
                Profile(node.name.text, parents, each.names, made[node.name.text], node.doc, node.name.span)
            )
        order = [statement.name.text for statement in main.statements if isinstance(statement, tree.Profile)]
        return sorted(profiles, key=lambda profile: order.index(profile.name))

    def inherited(
        self, lineage: Lineage, by_name: dict[str, Lineage], made: dict[str, Defaults], defaults: Defaults
    ) -> Defaults:
        """The parents' defaults; parents that disagree are E201, unless one of them extends the other."""
        parents = [each.text for each in lineage.profile.parents if each.text in made]
        parents = [each for each in parents if not any(each in by_name[other].names[:-1] for other in parents)]
        values = [made[each] for each in parents] or [defaults]
        stated = {
            each.space.text if each.space is not None else ""
            for each in lineage.profile.body
            if isinstance(each, tree.Default)
        }
        for other in values[1:]:
            clash = [
                space
                for space, ours, theirs in ((MSR, values[0].msr, other.msr), (IO, values[0].io, other.io))
                if ours[:2] != theirs[:2] and space not in stated and "" not in stated
            ]
            if clash:
                said = f"the profiles that `{lineage.profile.name.text}` extends have different defaults for {clash[0]}"
                remedy = f"state it here: default {clash[0]} passthrough, or default {clash[0]} exit"
                self.problems.append(error("E201", said, lineage.profile.name.span, helps=(remedy,)))
        return values[0]

    # tests

    def test(self, node: tree.Test) -> Test:
        scope = self.scopes[MAIN]
        names = {profile.name.text for profile in self.profile_nodes}
        cases = [test_case(each, scope, names, self.problems) for each in node.cases if not self.patience.spent()]
        return Test(node.name.value, tuple(each for each in cases if each is not None), 0, node.name.span)


def _no_default(source: Source, missing: list[str]) -> Diagnostic:
    start = Span(source, 0, 0)
    what = "its default" if len(missing) == 2 else f"its default for {'MSRs' if missing[0] == MSR else 'ports'}"
    space = "" if len(missing) == 2 else f"{missing[0]} "
    return error(
        "Y702",
        f"the policy does not say {what}",
        start,
        notes=("without one, what no rule names passes through",),
        helps=(f"say `default {space}passthrough` or `default {space}exit`",),
        fixes=(Fix("state it", (Edit(start, f"default {space}passthrough\n"),), safe=True),),
        severity=WARNING,
    )
