"""A resolved policy read from JSON, believing none of it: its form is that of the schema, its meaning passes the very
checks that a policy's text passes, and what can be worked out (layers, lineages, classes of vCPUs) is worked out here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from policyc.ir.document import Node, Path, find, path_at, plain, pointer, read
from policyc.ir.excerpt import Clippings, Place
from policyc.ir.written import statement
from policyc.semantics import vcpus
from policyc.semantics.addresses import Names
from policyc.semantics.crowding import crowded
from policyc.semantics.defaults import OUTSIDE, DefaultReader
from policyc.semantics.policy import Default, Defaults, ModuleInfo, Policy, Profile, Test
from policyc.semantics.profiles import lineages
from policyc.semantics.resolve import LANGUAGE
from policyc.semantics.rules import RuleReader, Sink
from policyc.semantics.scope import Scope
from policyc.semantics.testcases import test_case
from policyc.syntax import tree
from policyc.syntax.reader import hidden
from policyc.vocabulary.access import IO, MSR
from policyc.vocabulary.diagnostic import ERROR, Diagnostic, Label, PolicyError, error
from policyc.vocabulary.near import nearest
from policyc.vocabulary.span import Source, Span

_FREE_TEXT = ("path", "policy")
"""Members that name files, which may be called anything."""


def resolved(
    source: Source, where: str, database: Names, targets: Iterable[str]
) -> tuple[Policy, tuple[Diagnostic, ...]]:
    """The policy of a document, and the warnings about it. where: what a bundle calls the document.

    Raises PolicyError: E091 and E092 for its form, the codes of the language for what it says.
    """
    root = read(source)
    _hold(source, root)
    builder = _Builder(source, root, where, database)
    policy = builder.policy(tuple(targets))
    found = tuple(sorted((_pointed(each, source, root) for each in builder.problems), key=Diagnostic.sort_key))
    if any(each.severity == ERROR for each in found):
        raise PolicyError(found)
    counts = {"rules": policy.rules, "asserts": policy.asserts, "nevers": policy.nevers, "tests": policy.tests}
    for key, statements in counts.items():
        assert len(statements) == len(_items(root, key)), "a statement was lost"
    return policy, found


def ir_schema() -> dict[str, Any]:
    """The JSON schema of the document."""
    import json

    from policyc import resources

    schema: dict[str, Any] = json.loads(resources.read("schema", "ir-1.json"))
    return schema


def _hold(source: Source, root: Node) -> None:
    """The form of the schema, and no character that a reviewer could not see."""
    from policyc.bundle.schema import first_violation

    version = root.value.get("format_version") if isinstance(root.value, dict) else None
    if version is not None and type(version.value) is int and version.value > 1:
        said = f"the document has format version {version.value}, and this policyc reads version 1"
        raise PolicyError([error("E092", said, _span(source, version), helps=("use a newer policyc",))])
    found = first_violation(plain(root), ir_schema())
    if found is not None:
        node = find(root, found.path)
        raise PolicyError([error("E092", found.said, _span(source, node), pointer(found.path) or "the document")])
    _strings(source, root, ())


def _strings(source: Source, node: Node, path: Path) -> None:
    value = node.value
    if isinstance(value, dict):
        for key, each in value.items():
            _strings(source, each, (*path, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            _strings(source, each, (*path, number))
    elif isinstance(value, str):
        free = path[-1] in _FREE_TEXT
        lone = next((char for char in value if "\ud800" <= char <= "\udfff"), None)
        bad = None if free and (lone is None or "\udc80" <= lone <= "\udcff") else lone or hidden(value)
        if bad is not None:
            said = f"the text holds an invisible character, U+{ord(bad):04X}"
            raise PolicyError([error("E006", said, _span(source, node), pointer(path), helps=("delete it",))])


def _span(source: Source, node: Node) -> Span:
    return Span(source, node.start, node.end)


def _pointed(found: Diagnostic, source: Source, root: Node) -> Diagnostic:
    """A diagnostic whose words name the place in the document as programs do."""
    primary = found.primary
    if primary is None or primary.span.source is not source:
        return found
    where = pointer(path_at(root, primary.span.start))
    return found._replace(primary=Label(primary.span, f"{where}: {primary.text}" if primary.text else where))


def _items(root: Node, key: str) -> list[Node]:
    return root.value[key].value if key in root.value else []


class _File(NamedTuple):
    """One module. clippings: its statements. own: they stand in the document itself."""

    info: ModuleInfo
    clippings: Clippings
    own: bool


class _Builder:
    """Makes the tree that a policy's text would have, a node at a time, and hands it to the readers of statements."""

    def __init__(self, source: Source, root: Node, where: str, database: Names) -> None:
        self.source = source
        self.root = root
        self.database = database
        self.problems: list[Diagnostic] = []
        self.scope = Scope(database)
        self.sink = Sink([], [], [], {}, self.problems)
        self.files = self.make_files(where)
        self.readers = [RuleReader(self.scope, number, self.sink) for number in range(len(self.files))]
        self.names = {each.value["name"].value for each in _items(root, "profiles")}

    def policy(self, targets: tuple[str, ...]) -> Policy:
        root = self.root.value
        language = root["language"]
        if language.value > LANGUAGE:
            said = f"this policyc does not know language {language.value}"
            self.problems.append(error("E081", said, self.at(language), f"it knows language {LANGUAGE}"))
        named = tuple(self.target(each, targets) for each in _items(self.root, "targets"))
        defaults = self.defaults(root["defaults"])
        profiles = self.profiles()
        for each in _items(self.root, "rules"):
            self.read(each, self.rule(each))
        for each in _items(self.root, "asserts"):
            self.read(each, self.claim(each))
        for each in _items(self.root, "nevers"):
            self.read(each, self.never(each))
        classes = vcpus.classes(rule.vcpus for rule in self.sink.rules if rule.vcpus is not None)
        if len(classes) > 1:
            self.problems += vcpus.too_many(len(classes), len(profiles), self.at(root["rules"]))
        self.problems += crowded(self.sink.rules)
        tests = tuple(self.test(each) for each in _items(self.root, "tests"))
        return Policy(
            root["policy"].value, language.value, named, defaults, tuple(self.sink.rules), profiles, classes,
            tuple(self.sink.asserts), tuple(self.sink.nevers), tests, tuple(each.info for each in self.files),
            root["database"].value,
        )  # fmt: skip

    # places

    def make_files(self, where: str) -> list[_File]:
        paths = [each.value["path"].value for each in _items(self.root, "modules")]
        places: list[set[Place]] = [set() for _ in paths]
        for node, module in self.statements():
            if module.value < len(paths):
                place = self.place(node, paths[module.value] is None)
                if place is not None:
                    places[module.value].add(place)
            else:
                said = f"there is no module {module.value}"
                self.problems.append(error("E092", said, self.at(module)))
        if self.problems:
            raise PolicyError([_pointed(each, self.source, self.root) for each in self.problems])
        files = []
        for path, found in zip(paths, places, strict=True):
            clippings = Clippings(self.source.name if path is None else path, found)
            files.append(
                _File(ModuleInfo(clippings.source.name, path or where, clippings.source), clippings, path is None)
            )
        return files

    def statements(self) -> Iterable[tuple[Node, Node]]:
        """Everything that has a place, and the number of its module."""
        main = Node(0, 0, 0)
        profiles = _items(self.root, "profiles")
        for key in ("rules", "asserts", "nevers"):
            for each in _items(self.root, key):
                yield each, each.value.get("module", main)
        for each in (self.root, *profiles):
            for default in each.value["defaults"].value.values():
                yield default, main
        for each in (*_items(self.root, "targets"), *profiles, *_items(self.root, "tests")):
            yield each, main
            for case in each.value["cases"].value if "cases" in each.value else ():
                yield case, main

    def place(self, node: Node, own: bool) -> Place | None:
        """Where a statement stands; in the document, as the language would write it. None for a default not stated."""
        at = node.value.get("at")
        if own:
            if at is not None:
                said = "a statement of this document has no place but its own"
                self.problems.append(
                    error("E092", said, self.at(at), helps=("leave `at` out, or give its module a path",))
                )
            line, column = self.source.position(node.start)
            return Place(line, min(column, 255), statement(node)[0])
        if at is None:
            if "verdict" not in node.value and node.value.keys() != {"actions"}:
                said = '"at" is missing: its module has a path, so the statement has a place there'
                self.problems.append(error("E092", said, self.at(node), helps=("give it, or a module without a path",)))
            return None
        told = at.value
        return Place(told["line"].value, told["column"].value if "column" in told else 1, told["text"].value)

    def span(self, node: Node, module: int = 0) -> Span:
        """Where all of a statement stands."""
        file = self.files[module]
        place = self.place(node, file.own)
        return self.at(node) if place is None else file.clippings.span(place)

    def addresses(self, node: Node, module: int) -> Span:
        """Where a rule's addresses stand; all of the rule where its text does not tell."""
        file = self.files[module]
        place = self.place(node, file.own)
        assert place is not None
        told = node.value["at"].value.get("addresses") if not file.own else None
        if file.own:
            _, start, end = statement(node)
            return file.clippings.span(place, start, end)
        lo, hi = (0, len(place.text)) if told is None else (each.value for each in told.value)
        if not lo <= hi <= len(place.text):
            self.problems.append(error("E092", "these characters are not in the text", self.at(told or node)))
            return file.clippings.span(place)
        return file.clippings.span(place, lo, hi)

    def at(self, node: Node) -> Span:
        return _span(self.source, node)

    # words

    def word(self, node: Node) -> tree.Word:
        return tree.Word(node.value, self.source, self.at(node).start + 1)

    def name(self, node: Node) -> tree.Name:
        return tree.Name(node.value, self.at(node))

    def number(self, node: Node) -> tree.Number:
        """A whole number, or the string of one of 64 bits."""
        value = int(node.value, 16) if isinstance(node.value, str) else node.value
        return tree.Number(value, 16, self.at(node))

    def optional(self, node: Node, key: str) -> tree.Number | None:
        return self.number(node.value[key]) if key in node.value else None

    def ranges(self, node: Node) -> tree.Items:
        items = tuple(
            tree.Range(self.number(each.value[0]), self.number(each.value[1]), self.at(each)) for each in node.value
        )
        return tree.Items(items, True, self.at(node))

    def actions(self, node: Node, key: str = "actions") -> tuple[tree.Action, ...] | None:
        return tuple(self.action(each) for each in node.value[key].value) if key in node.value else None

    def action(self, node: Node) -> tree.Action:
        arguments = []
        for key, each in node.value.items():
            if key != "name":
                span = self.at(each)
                value = self.name(each) if key in ("vector", "handler") else self.number(each)
                arguments.append(tree.Argument(tree.Name(key, span), value, span))
        return tree.Action(self.name(node.value["name"]), tuple(arguments), True, self.at(node))

    def doc(self, node: Node) -> tuple[str, ...]:
        return tuple(each.value for each in node.value["doc"].value) if "doc" in node.value else ()

    # statements

    def read(self, node: Node, made: tree.Rule | tree.Assert | tree.Never) -> None:
        """One statement into the sink, if the profile it names is there."""
        module, profile = self.module(node), node.value.get("profile")
        if profile is not None and module:
            said = "a profile stands in the main file, and this is a statement of another"
            self.problems.append(error("E092", said, self.at(profile)))
        elif profile is not None and profile.value not in self.names:
            close = nearest(profile.value, self.names)
            helps = (f"did you mean `{close[0]}`?",) if close else ()
            said = f"there is no profile `{profile.value}`"
            self.problems.append(error("E035", said, self.at(profile), helps=helps))
        self.readers[module].read(made, None if profile is None else profile.value)

    def module(self, node: Node) -> int:
        return int(node.value["module"].value) if "module" in node.value else 0

    def rule(self, node: Node) -> tree.Rule:
        said, module = node.value, self.module(node)
        override = "override" in said and said["override"].value
        return tree.Rule(
            self.word(said["verb"]),
            self.word(said["space"]),
            self.ranges(said["ranges"])._replace(span=self.addresses(node, module)),
            None,
            self.word(said["access"]),
            self.widths(node),
            tuple(self.condition(each) for each in said["when"].value) if "when" in said else (),
            self.ranges(said["vcpus"]) if "vcpus" in said else None,
            self.actions(node),
            self.word(said["override"]) if override else None,
            self.name(said["label"]) if "label" in said else None,
            self.doc(node),
            self.span(node, module),
        )

    def widths(self, node: Node) -> tuple[tree.Number, ...]:
        return tuple(self.number(each) for each in node.value["widths"].value) if "widths" in node.value else ()

    def condition(self, node: Node) -> tree.Condition:
        said = node.value
        operand = self.number(said["operand"])
        mask = self.optional(node, "mask")
        return tree.Condition(self.word(said["subject"]), mask, said["op"].value, operand, self.at(node))

    def claim(self, node: Node) -> tree.Assert:
        said = node.value
        negated = "negated" in said and said["negated"].value
        expected = self.actions(node, "expected")
        if negated and expected is not None:
            what = "an assertion that names its action cannot be negated"
            self.problems.append(error("E092", what, self.at(said["negated"])))
        return tree.Assert(
            negated, "intercepted" if expected is None else "action", self.word(said["space"]),
            self.ranges(said["ranges"]), None, self.word(said["access"]), self.widths(node), expected, (),
            self.span(node, self.module(node)),
        )  # fmt: skip

    def never(self, node: Node) -> tree.Never:
        said = node.value
        access = self.word(said["access"])
        span = self.span(node, self.module(node))
        return tree.Never(self.word(said["space"]), self.ranges(said["ranges"]), None, access, (), span)

    def target(self, node: Node, known: tuple[str, ...]) -> tuple[str, Span]:
        name = node.value["name"]
        if name.value not in known:
            said = f"there is no target `{name.value}`"
            self.problems.append(error("E037", said, self.at(name), helps=(f"targets are {', '.join(known)}",)))
        return name.value, self.span(node)

    def defaults(self, node: Node) -> Defaults:
        found = {}
        for key, each in node.value.items():
            verdict = each.value.get("verdict")
            space = tree.Word(MSR if key == OUTSIDE else key, self.source, self.at(each).start)
            word = tree.Word(OUTSIDE, self.source, self.at(each).start) if verdict is None else self.word(verdict)
            made = tree.Default(space, word, self.actions(each), self.at(each))
            stated = "at" in each.value or self.files[0].own
            value = DefaultReader(self.scope, self.problems).one(made) or Default(True, (), None)
            found[key] = value._replace(span=self.span(each) if stated else None)
        outside = found[OUTSIDE]
        return Defaults(found[MSR], found[IO], outside.actions, outside.span)

    def profiles(self) -> tuple[Profile, ...]:
        nodes = {each.value["name"].value: each for each in _items(self.root, "profiles")}
        written = [self.profile(each) for each in _items(self.root, "profiles")]
        found = {each.profile.name.text: each for each in lineages(written, self.problems)}
        return tuple(
            Profile(
                name,
                tuple(parent.text for parent in found[name].profile.parents),
                found[name].names,
                self.defaults(nodes[name].value["defaults"]),
                self.doc(nodes[name]),
                self.span(nodes[name]),
            )
            for name in nodes
            if name in found
        )

    def profile(self, node: Node) -> tree.Profile:
        parents = node.value["extends"].value if "extends" in node.value else []
        name = self.name(node.value["name"])
        return tree.Profile(name, tuple(self.name(each) for each in parents), (), (), self.at(node))

    def test(self, node: Node) -> Test:
        cases = [
            test_case(self.case(each), self.scope, self.names, self.problems) for each in node.value["cases"].value
        ]
        return Test(node.value["name"].value, tuple(each for each in cases if each is not None), 0, self.span(node))

    def case(self, node: Node) -> tree.Case:
        said = node.value
        profile = self.name(said["profile"]) if "profile" in said else None
        return tree.Case(
            self.word(said["kind"]), self.number(said["address"]), self.optional(node, "width"),
            self.optional(node, "value"), self.optional(node, "cpl"), self.optional(node, "vcpu"), profile,
            self.actions(node, "outcome") or (), self.span(node),
        )  # fmt: skip
