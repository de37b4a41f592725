"""Imported files: found beside the file that imports them or among the bundled ones, and read.

A policy is its folder: nothing outside the tree under the main file's folder is read, except the modules that come with
policyc, whose paths begin with ``std/``. A file has one spelling; a second one (through a symbolic link, another case,
a ``./``) is refused, so that a reviewer who searches for a path finds every use of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from policyc import resources
from policyc.bundle.layout import FileEntry
from policyc.semantics.modules import MAIN, Loaded, LoadError, suggest
from policyc.syntax import tree
from policyc.syntax.files import LIMIT, read_file
from policyc.syntax.parser import parse
from policyc.syntax.reader import decode
from policyc.vocabulary.diagnostic import Diagnostic, PolicyError, UnreadableError
from policyc.vocabulary.span import Source

STD = "std"
MAX_TOTAL = 4 * LIMIT
"""Bytes of all imported files together."""

_MOST_LISTED = 2000
"""Files that are looked at for a suggestion."""


class FileLoader:
    """Implements policyc.semantics.modules.Loader. A key is the file's path from the root, so is what messages say.

    main: the path of the main file as the user gave it, ``-`` for standard input. Its folder is the root.
    buffers: bytes that stand for a file's own, by the name that messages use. shown: what messages call the main file
    instead; imported files are shown as its neighbours.
    """

    def __init__(self, main: str, buffers: Mapping[str, bytes] | None = None, shown: str | None = None) -> None:
        self.buffers = buffers or {}
        self.folder = "" if main == "-" else os.path.dirname(main)
        self.prefix = os.path.join(self.folder, "") if shown is None else shown.removesuffix(os.path.basename(shown))
        self.root = os.path.realpath(self.folder or ".")
        self.sources: list[FileEntry] = []
        self.total = 0
        self.known: dict[tuple[int, int], tuple[str, str]] = {}
        self.listed: dict[bool, list[str]] = {}
        if main != "-":
            try:  # noqa: SIM105 - contextlib takes as long to import as three modules of ours
                self.known[_identity(os.stat(main))] = (MAIN, os.path.basename(main))
            except OSError:
                pass  # Whoever reads the main file says so.

    def find(self, path: str, importer: str) -> str:
        """The key of what ``path`` means in the file ``importer``. Raises LoadError: E003, E036, E072, E073."""
        bundled = path.startswith(f"{STD}/") or importer.startswith(f"{STD}/")
        spelling = _join(importer.removeprefix("./").rpartition("/")[0], path, bundled)
        place = self._place(spelling, bundled)
        try:
            found = os.stat(place)
        except (OSError, ValueError) as reason:
            raise self._missing(path, spelling, bundled, reason) from None
        if not bundled and not _inside(os.path.realpath(place), self.root):
            raise LoadError(
                "E073",
                f'"{path}" is a symbolic link that leaves the policy\'s folder',
                "copy the file into the folder: what a policy means must not depend on files outside it",
            )
        key = _plain(spelling, bundled)
        before = self.known.setdefault(_identity(found), (key, spelling))
        if before[1] != spelling and before[0] != MAIN:
            raise LoadError(
                "E072",
                f'"{path}" is the file that is already imported as "{before[1]}"',
                "one file is one module: import it by one path everywhere",
            )
        return before[0]

    def load(self, key: str) -> tuple[Loaded, list[Diagnostic]]:
        """The parsed file. Raises LoadError E003 (unreadable) or E004 (too much to read)."""
        name, place = self.named(key)
        try:
            data = self.buffers[name] if name in self.buffers else read_file(place)
        except UnreadableError as reason:
            raise self.unreadable(name, reason) from None
        self.count(len(data))
        source, module, problems = read_module(name, data)
        self.sources.append(FileEntry(key, len(data), source.digest))
        return Loaded(key, name, key, module), problems

    def named(self, key: str) -> tuple[str, str]:
        """What messages call a file, and where it lies on the disk."""
        bundled = key.startswith(f"{STD}/")
        return key if bundled else self.prefix + _native(key.removeprefix("./")), self._place(key, bundled)

    def unreadable(self, name: str, reason: UnreadableError) -> LoadError:
        """E003."""
        why = str(reason).rpartition(": ")[2]
        return LoadError("E003", f"cannot read {name}: {why}", "an import names a regular file")

    def count(self, size: int) -> None:
        """Add to what was read so far. Raises LoadError E004 if that is too much."""
        self.total += size
        if self.total > MAX_TOTAL:
            raise LoadError("E004", f"the imported files are larger than {MAX_TOTAL >> 20} MiB together")

    def _place(self, spelling: str, bundled: bool) -> str:
        """Where a file lies on the disk."""
        if not bundled:
            return os.path.join(self.folder, _native(spelling))
        try:
            return os.path.join(resources.folder(STD), _native(spelling.removeprefix(f"{STD}/")))
        except FileNotFoundError as reason:
            raise LoadError("E036", str(reason), "install policyc again") from None

    def _missing(self, path: str, spelling: str, bundled: bool, reason: OSError | ValueError) -> LoadError:
        if not isinstance(reason, FileNotFoundError | NotADirectoryError):
            why = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
            return LoadError("E003", f'cannot read "{path}": {why[0].lower() + why[1:]}')
        if os.path.islink(self._place(spelling, bundled)):
            return LoadError("E036", f'"{path}" is a symbolic link that leads nowhere')
        known = self._neighbours(spelling, path, bundled)
        helps = [f'did you mean "{path}.pol"?'] if f"{path}.pol" in known else list(suggest(path, known))
        if "\\" in path:
            helps.insert(0, f'folders are parted by `/`: "{path.replace(chr(92), "/")}"')
        where = "among the modules that come with policyc" if bundled else "beside the file that imports it"
        helps.append(f'"{path}" is looked for {where}')
        return LoadError("E036", f'there is no file "{path}"', *helps[:2])

    def _neighbours(self, spelling: str, path: str, bundled: bool) -> list[str]:
        """Policy files that exist, written as this import would write them."""
        if bundled not in self.listed:
            self.listed[bundled] = list(_policies(resources.folder(STD) if bundled else self.folder or "."))
        base, head = f"{STD}/" if bundled else "", spelling.removesuffix(path)
        found = [f"{base}{each}" for each in self.listed[bundled]]
        return [each.removeprefix(head) for each in found if each.startswith(head)]


def _policies(base: str) -> Iterator[str]:
    """The policy files below a folder, seen from there; no more than some thousand files are looked at."""
    looked = 0
    for folder, folders, files in os.walk(base):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        looked += len(files)
        inside = os.path.relpath(folder, base)
        for each in sorted(files):
            if each.endswith(".pol") and each.isprintable():
                yield os.path.normpath(os.path.join(inside, each))
        if looked > _MOST_LISTED:
            break


def read_module(name: str, data: bytes) -> tuple[Source, tree.Module, list[Diagnostic]]:
    """One file's text and tree; bytes that are no policy text give an empty module and say why."""
    try:
        source = decode(name, data)
    except PolicyError as reason:
        empty = Source(name, "")
        return empty, tree.Module(empty, (), (), ()), list(reason.diagnostics)
    module, problems = parse(source)
    return source, module, problems


def _join(base: str, path: str, bundled: bool) -> str:
    """``path`` seen from the root, as it is spelt but for its leading ``..``. Raises LoadError E036, E073.

    base: folder of the importing file, seen from the root. bundled: the file comes with policyc, and stays in ``std``.
    """
    if not path or path.endswith("/"):
        raise LoadError("E036", f'"{path}" names no file', 'write the path of a file: import "com1.pol"')
    if path.startswith("/"):
        raise LoadError(
            "E073", f'"{path}" is an absolute path', "write it relative to the file that imports it, inside the folder"
        )
    words = path.split("/")
    if bundled and words[0] == STD:
        base = words.pop(0)
    parts = base.split("/") if base else []
    depth, least = len(parts), 1 if bundled else 0
    for word in words:
        depth += -1 if word == ".." else 0 if word in ("", ".") else 1
        if depth < least:
            whose = "the folder of bundled modules" if least else "the policy's folder"
            raise LoadError("E073", f'"{path}" leaves {whose}', "move the file into the folder of the main file")
    while parts and words[0] == "..":
        words.pop(0)
        parts.pop()
    return "/".join(parts + words)


def _plain(spelling: str, bundled: bool) -> str:
    """The path from the root without ``.``, ``..`` and doubled slashes; ``./`` marks a local folder named ``std``."""
    parts: list[str] = []
    for word in spelling.split("/"):
        if word == "..":
            parts.pop()
        elif word not in ("", "."):
            parts.append(word)
    plain = "/".join(parts)
    return f"./{plain}" if not bundled and plain.startswith(f"{STD}/") else plain


def _native(path: str) -> str:
    """A path of a policy as the operating system wants it: UTF-8 in every locale."""
    return os.fsdecode(path.encode("utf-8"))


def _inside(place: str, root: str) -> bool:
    return place.startswith(root if root.endswith("/") else f"{root}/")


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
