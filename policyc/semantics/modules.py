"""The files of a policy: which imports lead where. Files themselves are read by the loader that the pipeline gives."""

from __future__ import annotations

from policyc.syntax import tree
from policyc.vocabulary.diagnostic import Diagnostic, Label, error
from policyc.vocabulary.near import nearest
from policyc.vocabulary.span import Span
from policyc.vocabulary.typed import NamedTuple, Protocol

MAX_MODULES = 256
MAX_IMPORT_DEPTH = 32
MAIN = ""
"""Key of the main file."""


class LoadError(Exception):
    """An import that cannot be followed. code: E003, E036, E072 or E073; message and helps as in a Diagnostic."""

    def __init__(self, code: str, message: str, *helps: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.helps = helps


class Loaded(NamedTuple):
    """key: one for each file, however it is spelt. name: for messages. path: what the manifest records."""

    key: str
    name: str
    path: str
    module: tree.Module


class Loader(Protocol):
    """Finds and reads files. Both raise LoadError."""

    def find(self, path: str, importer: str) -> str:
        """The key of what ``path`` means in the file with key ``importer``."""

    def load(self, key: str) -> tuple[Loaded, list[Diagnostic]]:
        """The parsed file and what its text got wrong; asked once for each key."""


class Graph(NamedTuple):
    """modules: the main file, then imported ones in the order of first import, depth first. aliases[key]: what each
    file calls its imports; None where the import could not be followed."""

    modules: tuple[Loaded, ...]
    aliases: dict[str, dict[str, str | None]]


def gather(main: Loaded, loader: Loader, problems: list[Diagnostic]) -> Graph:
    """All files that main imports, directly or not; appends E003, E004, E036, E042, E071, E072, E073."""
    walk = _Walk(loader, problems)
    walk.visit(main, ())
    return Graph(tuple(walk.modules), walk.aliases)


class _Walk:
    def __init__(self, loader: Loader, problems: list[Diagnostic]) -> None:
        self.loader = loader
        self.problems = problems
        self.modules: list[Loaded] = []
        self.aliases: dict[str, dict[str, str | None]] = {}
        self.spelt: dict[str, Span] = {}
        self.lost = 0
        """Imports that led nowhere: they count as files, for each is looked for on the disk."""
        self.stopped = False

    def visit(self, loaded: Loaded, trail: tuple[Loaded, ...]) -> None:
        self.modules.append(loaded)
        names: dict[str, str | None] = {}
        self.aliases[loaded.key] = names
        places: dict[str, Span] = {}
        for statement in loaded.module.statements:
            if not isinstance(statement, tree.Import) or self.stopped:
                continue
            alias = alias_of(statement)
            span = statement.path.span if statement.alias is None else statement.alias.span
            if alias in places:
                self.problems.append(
                    error(
                        "E071",
                        f"two imports are called `{alias}`",
                        span,
                        secondary=(Label(places[alias], "the first is here"),),
                        helps=("give one another name with `as`",),
                    )
                )
                continue
            places[alias] = span
            names[alias] = self.follow(statement, loaded, (*trail, loaded))

    def follow(self, statement: tree.Import, importer: Loaded, trail: tuple[Loaded, ...]) -> str | None:
        """The key of the imported file, which is visited if it is new; None after reporting."""
        span = statement.path.span
        if self.lost >= MAX_MODULES:
            self.stop(span)
            return None
        try:
            key = self.loader.find(statement.path.value, importer.key)
            if any(each.key == key for each in trail):
                names = " -> ".join([each.name for each in trail] + [next(e.name for e in trail if e.key == key)])
                self.problems.append(
                    error(
                        "E042",
                        f"this import leads back to itself: {names}",
                        span,
                        helps=("move what both need to a third file",),
                    )
                )
                return None
            if key in self.aliases:
                return key
            if len(trail) > MAX_IMPORT_DEPTH or len(self.modules) >= MAX_MODULES:
                self.stop(span)
                return None
            loaded, problems = self.loader.load(key)
        except LoadError as reason:
            self.lost += 1
            self.problems.append(error(reason.code, reason.message, span, helps=reason.helps))
            return None
        self.problems += problems
        self.visit(loaded, trail)
        return key

    def stop(self, span: Span) -> None:
        """No import from here on is followed."""
        self.stopped = True
        said = f"imports nest over {MAX_IMPORT_DEPTH} deep or name over {MAX_MODULES} files"
        self.problems.append(error("E004", said, span))


def alias_of(statement: tree.Import) -> str:
    """What the importing file calls the module: after ``as``, else the file's name without its folder and ``.pol``."""
    if statement.alias is not None:
        return statement.alias.text
    return statement.path.value.rsplit("/", 1)[-1].removesuffix(".pol")


def suggest(path: str, known: list[str]) -> tuple[str, ...]:
    """Helps for a path that leads nowhere."""
    close = nearest(path, known)
    return (f"did you mean {close[0]!r}?".replace("'", '"'),) if close else ()
