"""What ``diff`` and ``prove`` are given: a policy, a bundle's folder, a raw image, or a policy of another revision."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from policyc.cli.parser import UsageError

if TYPE_CHECKING:
    from tarfile import TarFile

    from policyc.analyses.diff import Side
    from policyc.analyses.images import Exits
    from policyc.bundle.read import Bundle
    from policyc.database.names import Database

GIT = "git:"


class Subject(NamedTuple):
    """One side. said: what the user called it. side: its policy, None for a raw image. kind, data: of a raw image."""

    said: str
    side: Side | None
    bundle: Bundle | None = None
    kind: str = ""
    data: bytes = b""

    @property
    def only(self) -> str | None:
        """The profile of a bundle that was compiled for it alone."""
        return None if self.bundle is None else self.bundle.manifest.profile


def two(words: list[str], against: str | None) -> list[str]:
    """Old and new, as given; ``--against git:REVISION`` means the same file of that revision."""
    if against is not None:
        if len(words) != 1:
            raise UsageError("`--against` stands for OLD, so one policy is compared", "name NEW alone")
        if against.startswith(GIT) and against.count(":") == 1:
            against += f":./{words[0]}"
        words = [against, *words]
    if len(words) != 2:
        raise UsageError("two policies are compared", "usage: policyc diff OLD NEW")
    if words == ["-", "-"]:
        raise UsageError("standard input can be read once", "name one of the two as a file")
    return words


def load(word: str, names: Database, kind: str | None = None) -> Subject:
    """What a word names; kind: what a raw image is, as ``--as`` says. Raises what reading it raises."""
    from policyc.analyses.images import kinds_of
    from policyc.syntax.files import note

    if word.startswith(GIT):
        return Subject(word, _of_revision(word, names))
    if os.path.isdir(word):
        from policyc.bundle.read import load as load_bundle
        from policyc.bundle.recall import recall

        bundle = load_bundle(word)
        return Subject(word, recall(bundle), bundle)
    if word != "-" and not word.endswith(".pol") and os.path.isfile(word):
        with open(word, "rb") as stream:
            data = stream.read(1 << 24)
            note(os.fstat(stream.fileno()))
        if kinds_of(data):
            return Subject(word, None, None, unless_plain(word, data, kind), data)
    return Subject(word, policy_side(word, names))


def policy_side(word: str, names: Database, shown: str | None = None) -> Side:
    """The policy at a path (``-``: standard input), decided. shown: what to call it instead.

    Raises UnreadableError, and PolicyError also where rules contradict each other: then nobody knows what it means.
    """
    from policyc import pipeline
    from policyc.analyses.diff import side
    from policyc.semantics.conflicts import conflicts
    from policyc.vocabulary.diagnostic import PolicyError

    policy = pipeline.front(word, database=names, shown=shown).policy
    clashes = conflicts(policy, names)
    if clashes:
        raise PolicyError(clashes)
    return side(policy)


def unless_plain(word: str, data: bytes, said: str | None) -> str:
    """As image_kind, but what --as says is for images whose size leaves a choice: it may be said of one among several."""
    from policyc.analyses.images import kinds_of

    return image_kind(word, data, said if len(kinds_of(data)) > 1 else None)


def image_kind(word: str, data: bytes, said: str | None) -> str:
    """Which image the bytes are: what --as says, what the size says, or what the file is called."""
    from policyc.analyses.images import FILTER, kinds_of

    if said:
        return FILTER if said == "kvm" else f"{said}.bin"
    kinds = kinds_of(data)
    if len(kinds) == 1:
        return kinds[0]
    named = [each for each in kinds if word.endswith(each)]
    if named:
        return named[0]
    raise UsageError(
        f"{word}: {len(data):,} bytes are a pair of VMX I/O bitmaps or an SVM MSR permission map",
        "say which: --as io or --as msrpm",
    )


def sides(old: Subject, new: Subject, profile: str | None) -> tuple[Side, Side]:
    """Both as policies. Where one is a raw image, both are reduced to what exits, under a profile or the base policy."""
    if old.side is not None and new.side is not None:
        return old.side, new.side
    from policyc.analyses.exits import domain, exits_side
    from policyc.vocabulary.intervals import intersect

    kinds = [each.kind for each in (old, new) if each.side is None]
    exits = [_exits(each, kinds, profile) for each in (old, new)]
    one, other = (domain(each) for each in exits)
    within = {space: intersect(one[space], other[space]) for space in one if space in other}
    if not within:
        raise UsageError(
            f"{old.said} and {new.said} have nothing in common", "one is about MSRs, the other about ports"
        )
    wrote = [_variant(each, profile) for each in (old, new)]
    left, right = (
        exits_side(subject.said, some, within, written)
        for subject, some, written in zip((old, new), exits, wrote, strict=True)
    )
    return left, right


def _exits(subject: Subject, kinds: list[str], profile: str | None) -> list[Exits]:
    """What exits under the images of a subject that are of one of the kinds."""
    from policyc.analyses.images import read_image
    from policyc.vocabulary.diagnostic import UnreadableError

    try:
        if subject.side is None:
            return [read_image(subject.kind, subject.data)]
        return [read_image(kind, data) for kind, data in _images(subject, kinds, profile).items()]
    except ValueError as reason:
        raise UnreadableError(f"{subject.said}: {reason}") from None


def _images(subject: Subject, kinds: list[str], profile: str | None) -> dict[str, bytes]:
    """The images of those kinds, compiled, or read from a bundle."""
    from policyc.targets.registry import target
    from policyc.targets.traps import traps_of
    from policyc.vocabulary.diagnostic import PolicyError

    owners = {"msr.bin": "vmx", "io.bin": "vmx", "msrpm.bin": "svm", "iopm.bin": "svm", "kvm_filter.json": "kvm"}
    found: dict[str, bytes] = {}
    wrote = _variant(subject, profile)
    assert wrote is not None
    for name in dict.fromkeys(owners[kind] for kind in kinds):
        if subject.bundle is not None and name in subject.bundle.manifest.targets:
            found |= subject.bundle.images(name, profile or subject.bundle.manifest.profile, 4095)
            continue
        made = target(name)
        (decisions,) = wrote.maps.values()
        problems = [each for each in made.problems(wrote.policy, (decisions,)) if each.severity == "error"]
        if problems:
            raise PolicyError(problems)
        found |= {each.name: each.data for each in made.images(traps_of(wrote.policy, decisions))}
    return {kind: data for kind, data in found.items() if kind in kinds}


def _variant(subject: Subject, profile: str | None) -> Side | None:
    """A policy with one variant alone: the profile's, on vCPUs that no rule names. None for an image."""
    from policyc.analyses.diff import Side
    from policyc.cli.policies import variant

    if subject.side is None:
        return None
    chosen = variant(subject.side.policy, profile, None)
    return Side(subject.side.policy, {chosen: subject.side.maps[chosen]})


# other revisions


def _of_revision(word: str, names: Database) -> Side:
    """The policy that ``git:REVISION:PATH`` names. PATH counts from the top of the repository, or with ``./`` from the
    current folder, as git has it; the policy files of its folder are taken along for its imports."""
    import io
    import tarfile
    from tempfile import TemporaryDirectory

    from policyc.vocabulary.diagnostic import UnreadableError

    revision, colon, path = word.removeprefix(GIT).partition(":")
    if not (revision and colon and path) or revision.startswith("-"):
        raise UsageError(f"`{word}` names no policy of a revision", "write git:REVISION:PATH, such as git:main:vm.pol")
    top = git(".", "rev-parse", "--show-toplevel").decode().rstrip("\n")
    if path.startswith("./"):
        prefix = git(".", "rev-parse", "--show-prefix").decode().rstrip("\n")
        path = os.path.normpath(os.path.join(prefix, path))
    folder, _, name = path.rpartition("/")
    wanted = [] if name.endswith(".pol") else [f":(glob){name}"]
    archive = git(top, "archive", "--format=tar", f"{revision}:{folder}", "--", *wanted, ":(glob)**/*.pol")
    with TemporaryDirectory() as scratch:
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            _unpack(packed, scratch)
        place = os.path.join(scratch, name)
        if not os.path.exists(place):
            raise UnreadableError(f"cannot read {word}: revision {revision} has no file {path}")
        if os.path.isdir(place):
            raise UnreadableError(f"cannot read {word}: {path} is a folder there, and of a revision policies are read")
        return policy_side(place, names, f"{revision}:{path}")


def _unpack(packed: TarFile, folder: str) -> None:
    """The files of an archive, links as copies of what they lead to inside it.

    By hand: Debian 12's Python 3.11.2 has no ``filter`` for extractall, and without one an archive may write anywhere.
    """
    for member in packed:
        if not (member.isfile() or member.issym()) or ".." in member.name.split("/") or member.name.startswith("/"):
            continue
        try:
            content = packed.extractfile(member)
        except KeyError:
            continue  # a link to what the archive does not hold: the import that needs it says so
        assert content is not None
        place = os.path.join(folder, member.name)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as stream:
            stream.write(content.read())


def git(folder: str, *words: str) -> bytes:
    """What a git command prints; UnreadableError with its own words where it fails."""
    import subprocess

    from policyc.vocabulary.diagnostic import UnreadableError

    try:
        done = subprocess.run(["git", "-C", folder, *words], capture_output=True, check=False)
    except FileNotFoundError:
        raise UnreadableError("git is not installed") from None
    if done.returncode:
        said = done.stderr.decode(errors="backslashreplace").strip().splitlines()
        raise UnreadableError(f"git {words[0]}: {said[0] if said else 'it failed'}")
    return done.stdout
