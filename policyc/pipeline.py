"""From a policy's text to its bundle, in about a page: each stage is one call, each arrow one frozen value.

    bytes -> Source -> Module -> Policy -> DecisionMap -> Images -> files
        decode   parse   resolve    decide      targets     manifest

Nothing is written here: ``policyc.bundle.write`` puts ``Compilation.files`` on the disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from policyc.bundle.layout import FileEntry, Images
from policyc.database.names import Database, load
from policyc.imports import FileLoader
from policyc.proof.mismatch import Proof
from policyc.semantics.addresses import Names
from policyc.semantics.decide import decide_all
from policyc.semantics.modules import MAIN, Loaded
from policyc.semantics.policy import DecisionMap, Policy, Variant
from policyc.semantics.resolve import Written, resolve_written
from policyc.syntax.files import read_file, read_stdin
from policyc.syntax.parser import parse
from policyc.syntax.reader import decode
from policyc.targets.base import Image
from policyc.targets.registry import NAMES, target
from policyc.targets.selection import LeftOut, Selection, select
from policyc.targets.traps import TrapReader, Traps
from policyc.vocabulary.collector import held_off
from policyc.vocabulary.diagnostic import ERROR, Diagnostic, PolicyError, UnreadableError
from policyc.vocabulary.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from policyc.proof.exhaustive import Progress


class Front(NamedTuple):
    """A policy as written, resolved. diagnostics: its warnings and infos. sources: every file that was read.
    written: what stands in them; nothing for a policy that was not read from text."""

    policy: Policy
    diagnostics: tuple[Diagnostic, ...]
    sources: tuple[FileEntry, ...]
    written: Written = Written((), {})


class Judgement(NamedTuple):
    """A policy without contradictions. maps: of every variant. diagnostics: warnings and infos, the front end's too."""

    maps: Mapping[Variant, DecisionMap]
    selection: Selection
    diagnostics: tuple[Diagnostic, ...]


class Checked(NamedTuple):
    """A policy that compiles. maps: of the variants asked for. selection: its targets, and those left out."""

    policy: Policy
    maps: Mapping[Variant, DecisionMap]
    selection: Selection
    images: Images
    diagnostics: tuple[Diagnostic, ...]
    proof: Proof
    sources: tuple[FileEntry, ...]
    database: Database

    @property
    def targets(self) -> tuple[str, ...]:
        return self.selection.targets


class Compilation(NamedTuple):
    """Everything one compile gives. images: of the variants in the bundle. files: all of the bundle, manifest.json
    among them, under relative paths. proof: accesses compared, by target."""

    policy: Policy
    maps: Mapping[Variant, DecisionMap]
    targets: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    images: Images
    files: tuple[Image, ...]
    diagnostics: tuple[Diagnostic, ...]
    proof: Proof


@held_off
def front(path: str, *, database: Names, buffers: Mapping[str, bytes] | None = None, shown: str | None = None) -> Front:
    """Read a policy and all it imports. path: ``-`` is standard input, whose imports start in the current folder.
    shown: what messages call it instead of its path.

    buffers: bytes that stand for what is on the disk, by path (``-`` too): an editor's text, a fix that is tried.
    Raises UnreadableError for the file itself, PolicyError for everything it says wrong.
    """
    buffers = buffers or {}
    data = buffers[path] if path in buffers else read_stdin() if path == "-" else read_file(path)
    name, where = ("<stdin>", "<stdin>") if path == "-" else (shown or path, recorded(path))
    source = decode(name, data)
    module, problems = parse(source)
    loader = FileLoader(path, buffers, shown)
    stem = "stdin" if path == "-" else where.removesuffix(".pol") or where
    policy, diagnostics, written = resolve_written(
        Loaded(MAIN, name, where, module), loader, database, name=stem, targets=NAMES, problems=problems
    )
    return Front(policy, diagnostics, (FileEntry(where, len(data), source.digest), *loader.sources), written)


@held_off
def front_ir(path: str, *, database: Names) -> Front:
    """The same for a resolved policy in JSON, as ``policyc.ir.emit`` writes it. path: ``-`` is standard input."""
    from policyc.ir.document import MAX_BYTES, decode_json
    from policyc.ir.read import resolved

    data = read_stdin(MAX_BYTES) if path == "-" else read_file(path, MAX_BYTES)
    name, where = ("<stdin>", "<stdin>") if path == "-" else (path, recorded(path))
    source = decode_json(name, data)
    policy, diagnostics = resolved(source, where, database, NAMES)
    return Front(policy, diagnostics, (FileEntry(where, len(data), source.digest),))


@held_off
def check_policy(
    path: str,
    *,
    reader: Callable[..., Front] = front,
    targets: tuple[str, ...] | None = None,
    profile: str | None = None,
    database_files: Sequence[str] = (),
    exhaustive: bool = False,
    progress: Progress | None = None,
) -> Checked:
    """Everything that can be wrong with a policy is found here: its text, its rules, its tests, its targets, its proof.

    reader: front, or front_ir for a resolved policy. targets: names of the registry; None for those of the policy, or the default ones. profile: the only one to put
    into the bundle. database_files: paths of users' own files of names. exhaustive: compare access by access, and
    call progress, if given, with what is being compared, loops done and loops in all.
    Raises UnreadableError (a file of the command line), PolicyError (the policy), ProofError (policyc itself).
    """
    database, own = _database(database_files)
    # The trees are half of what a large policy takes, and nobody asks for them again.
    read = reader(path, database=database)._replace(written=Written((), {}))
    policy = read.policy
    maps, chosen, diagnostics = judge(read, database, targets)
    kept = _restricted(maps, policy, profile)
    images = _images(policy, kept, chosen.targets)
    proof = _proof(exhaustive, progress)(policy, kept, images)
    return Checked(policy, kept, chosen, images, diagnostics, proof, (*read.sources, *own), database)


@held_off
def judge(read: Front, database: Database, targets: tuple[str, ...] | None = None) -> Judgement:
    """What a policy that could be read decides, and whether it holds together. Raises PolicyError if it does not."""
    from policyc.emitters.functions import problems
    from policyc.semantics.check import check
    from policyc.semantics.limits import few

    policy = read.policy
    maps = decide_all(policy)
    chosen = select(policy, tuple(maps.values()), targets)
    found = [*read.diagnostics, *chosen.diagnostics, *check(policy, maps, database), *problems(policy)]
    if policy.tests:
        from policyc.semantics.outcomes import failures, run_tests

        found += failures(run_tests(policy, maps, database))
    diagnostics = few(found)
    if any(each.severity == ERROR for each in diagnostics):
        raise PolicyError(diagnostics)
    return Judgement(maps, chosen, diagnostics)


@held_off
def compile_policy(
    path: str,
    *,
    reader: Callable[..., Front] = front,
    targets: tuple[str, ...] | None = None,
    profile: str | None = None,
    database_files: Sequence[str] = (),
    exhaustive: bool = False,
    progress: Progress | None = None,
) -> Compilation:
    """Everything that ``policyc compile`` does but the writing. Arguments and exceptions are those of check_policy."""
    from policyc.bundle.layout import lay_out
    from policyc.bundle.manifest import Contents, manifest
    from policyc.emitters.handler import emit

    policy, kept, chosen, images, diagnostics, proof, sources, database = check_policy(
        path,
        reader=reader,
        targets=targets,
        profile=profile,
        database_files=database_files,
        exhaustive=exhaustive,
        progress=progress,
    )
    layout = lay_out(policy, images, profile)
    files = (*layout.files, *emit(policy, kept, chosen.targets, database))
    told = manifest(Contents(policy, profile, kept, chosen, layout, files, sources, proof, database))
    return Compilation(policy, kept, chosen.targets, chosen.left_out, images, (*files, told), diagnostics, proof)


def _proof(
    exhaustive: bool, progress: Progress | None
) -> Callable[[Policy, Mapping[Variant, DecisionMap], Images], Proof]:
    """How to prove: by cells in milliseconds, or by the literal loop over every access."""
    if exhaustive:
        from functools import partial

        from policyc.proof import exhaustive as loop

        return partial(loop.prove, progress=progress)
    from policyc.proof.prove import prove

    return prove


def _database(files: Sequence[str]) -> tuple[Database, tuple[FileEntry, ...]]:
    """The database with users' own files of names, and what a bundle records of these."""
    texts, entries = [], []
    for path in files:
        data = read_file(path)
        source = decode(path, data)
        texts.append((path, source.text))
        entries.append(FileEntry(recorded(path), len(data), source.digest))
    return load(tuple(texts)), tuple(entries)


def _restricted(maps: Mapping[Variant, DecisionMap], policy: Policy, profile: str | None) -> dict[Variant, DecisionMap]:
    """The variants of one profile; all of them for None. Raises UnreadableError for a profile that does not exist."""
    if profile is None:
        return dict(maps)
    known = [each.name for each in policy.profiles]
    if profile not in known:
        from policyc.vocabulary.near import nearest

        close = nearest(profile, known, 1)
        help_ = f"did you mean {close[0]}?" if close else f"it has {', '.join(known) or 'none'}"
        raise UnreadableError(f"{policy.modules[0].name} has no profile {profile!r}; {help_}")
    return {variant: each for variant, each in maps.items() if variant.profile == profile}


def _images(policy: Policy, maps: Mapping[Variant, DecisionMap], targets: tuple[str, ...]) -> Images:
    """The images of every variant. Variants whose images would be equal share them."""
    reader = TrapReader(policy)
    made: dict[Traps, dict[str, tuple[Image, ...]]] = {}
    images = {}
    for variant, decisions in maps.items():
        traps = reader.traps(decisions)
        if traps not in made:
            made[traps] = {name: target(name).images(traps) for name in targets}
        images[variant] = made[traps]
    return images


def recorded(path: str) -> str:
    """A file's name as a bundle records it: without its folder, the same in every locale."""
    return os.fsencode(os.path.basename(path)).decode("utf-8", "surrogateescape")
