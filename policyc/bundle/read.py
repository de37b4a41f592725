"""Reading a bundle back, believing none of it: the manifest has its form, every file the size and SHA-256 stated there.

A bundle may have been made by anybody. What is read is held in memory and never read again, so that what was checked
is what is used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from policyc.architecture import svm, vmx
from policyc.bundle.folder import OddFolder, listing, read_below, shown, why
from policyc.bundle.layout import FileEntry
from policyc.targets.base import Image
from policyc.vocabulary.diagnostic import UnreadableError
from policyc.vocabulary.intervals import Intervals
from policyc.vocabulary.typed import Any, NamedTuple

MANIFEST = "manifest.json"
FORMAT_VERSION = 1
MAX_MANIFEST = 64 << 20
MAX_BUNDLE = 512 << 20
"""Bytes of the manifest, and of all files together. A compile that would pass either is refused."""

SIZES = {
    "msr.bin": vmx.MSR_BITMAP_BYTES,
    "io.bin": 2 * vmx.IO_BITMAP_BYTES,
    "msrpm.bin": svm.MSRPM_BYTES,
    "iopm.bin": svm.IOPM_BYTES,
}
"""Bytes of the images that have one size."""

_TRIES = 1000
"""Every further one follows a bundle that another run put in place meanwhile; only one that never rests ends them."""


class BundleVariant(NamedTuple):
    """images[target][image]: path in the bundle. vcpu_class: position in Manifest.vcpu_classes."""

    profile: str | None
    vcpu_class: int
    images: Mapping[str, Mapping[str, str]]


class Manifest(NamedTuple):
    """What most readers need. document: all of it, as policyc/schema/manifest-1.json describes it.

    profile: the only one of the bundle if it was compiled with ``--profile``. vcpu_classes: name and numbers.
    """

    policyc: str
    policy: str
    profile: str | None
    targets: tuple[str, ...]
    files: tuple[FileEntry, ...]
    sources: tuple[FileEntry, ...]
    vcpu_classes: tuple[tuple[str, Intervals], ...]
    variants: tuple[BundleVariant, ...]
    document: Mapping[str, Any]


class Bundle(NamedTuple):
    """A bundle in memory, checked. files: all but the manifest, in its order."""

    path: str
    manifest: Manifest
    files: tuple[Image, ...]

    def file(self, path: str) -> bytes:
        """The bytes of one file; KeyError for a path that the manifest does not have."""
        for each in self.files:
            if each.name == path:
                return each.data
        raise KeyError(path)

    def images(self, target: str, profile: str | None = None, vcpu: int = 0) -> dict[str, bytes]:
        """The images of a target for one vCPU under one profile; KeyError where the bundle has none."""
        for variant in self.manifest.variants:
            _, vcpus = self.manifest.vcpu_classes[variant.vcpu_class]
            if variant.profile == profile and any(lo <= vcpu <= hi for lo, hi in vcpus):
                return {name: self.file(path) for name, path in variant.images[target].items()}
        raise KeyError(profile)


def load(path: str) -> Bundle:
    """The bundle in a folder. Raises UnreadableError, with what is wrong, unless it is whole and unaltered.

    The folder may be replaced by another run at any moment: then the old bundle or the new one is read, not a mixture.
    """
    bundle, altered = load_altered(path)
    if altered:
        said = f"{altered[0]} was altered: its SHA-256 is not the one in the manifest"
        raise UnreadableError(f"cannot read the bundle {shown(path)}: {said}")
    return bundle


def load_altered(path: str) -> tuple[Bundle, tuple[str, ...]]:
    """As load, but for files whose bytes are not those that the manifest states; these are named beside the bundle.

    For finding out what an altered image does; nothing else may use one.
    """
    for attempt in range(_TRIES):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (OSError, ValueError) as reason:
            raise UnreadableError(f"cannot read the bundle {shown(path)}: {why(reason)}") from None
        try:
            bundle, altered = _load(path, handle)
            if not altered or attempt + 1 == _TRIES or not _replaced(path, handle):
                return bundle, altered
        except UnreadableError as reason:
            if attempt + 1 == _TRIES or not _replaced(path, handle):
                raise UnreadableError(f"cannot read the bundle {shown(path)}: {reason}") from None
        finally:
            os.close(handle)
    raise AssertionError("the last attempt returns or raises")


def _load(path: str, handle: int) -> tuple[Bundle, tuple[str, ...]]:
    manifest = parse_manifest(handle)
    try:
        present = listing(handle)
    except (OddFolder, OSError) as reason:
        raise UnreadableError(why(reason)) from None
    named = {each.path for each in manifest.files}
    for extra in sorted(set(present) - named - {MANIFEST}):
        raise UnreadableError(f"it holds {shown(extra)}, which its manifest does not name")
    from hashlib import sha256

    files = tuple(_file(handle, each) for each in manifest.files)
    pairs = zip(files, manifest.files, strict=True)
    altered = tuple(file.name for file, entry in pairs if sha256(file.data).hexdigest() != entry.sha256)
    return Bundle(path, manifest, files), altered


def _file(handle: int, entry: FileEntry) -> Image:
    """One file, of the size that the manifest states."""
    try:
        data = read_below(handle, entry.path, entry.size)
    except OddFolder as reason:
        raise UnreadableError(str(reason)) from None
    except OSError as reason:
        raise UnreadableError(f"{entry.path}: {why(reason)}") from None
    if len(data) != entry.size:
        raise UnreadableError(f"{entry.path} has {len(data):,} bytes, its manifest says {entry.size:,}")
    return Image(entry.path, data)


def parse_manifest(handle: int) -> Manifest:
    """The manifest of an open bundle folder; UnreadableError if it is not one of this version."""
    document = _document(handle)
    _hold(document, manifest_schema())
    manifest = _manifest(document)
    _cross_check(manifest)
    return manifest


def own_files(handle: int) -> frozenset[str]:
    """The files that an open folder's manifest calls its own, itself among them, whatever became of them.

    UnreadableError if the folder has no manifest that policyc could have written.
    """
    document, schema = _document(handle), manifest_schema()
    telling = ("files", "format_version", "policyc")
    _hold(
        document, {**schema, "required": telling, "properties": {each: schema["properties"][each] for each in telling}}
    )
    return frozenset((MANIFEST, *(each["path"] for each in document["files"])))


def _document(handle: int) -> dict[str, Any]:
    try:
        data = read_below(handle, MANIFEST, MAX_MANIFEST)
    except FileNotFoundError:
        raise UnreadableError(f"it has no {MANIFEST}") from None
    except OddFolder as reason:
        raise UnreadableError(str(reason)) from None
    except OSError as reason:
        raise UnreadableError(f"{MANIFEST}: {why(reason)}") from None
    document = _json(data)
    version = document.get("format_version")
    if type(version) is int and version > FORMAT_VERSION:
        raise UnreadableError(
            f"its format version is {version}; this policyc reads version {FORMAT_VERSION}: use a newer policyc"
        )
    return document


def _hold(document: dict[str, Any], schema: dict[str, Any]) -> None:
    from policyc.bundle.schema import violation

    wrong = violation(document, schema)
    if wrong is not None:
        raise UnreadableError(f"{MANIFEST}: {wrong}")


def manifest_schema() -> dict[str, Any]:
    """The JSON schema of manifest.json."""
    import json

    from policyc import resources

    schema: dict[str, Any] = json.loads(resources.read("schema", "manifest-1.json"))
    return schema


def _json(data: bytes) -> dict[str, Any]:
    import json

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a member stands twice in one object")
        return found

    def refuse(text: str) -> Any:
        raise ValueError(f"{text[:20]} is not a whole number")

    try:
        document = json.loads(
            data.decode("ascii"), object_pairs_hook=members, parse_float=refuse, parse_constant=refuse
        )
    except RecursionError:
        raise UnreadableError(f"{MANIFEST}: it nests too deep") from None
    except ValueError as reason:
        raise UnreadableError(f"{MANIFEST} is not the JSON that policyc writes: {str(reason)[:200]}") from None
    if not isinstance(document, dict):
        raise UnreadableError(f"{MANIFEST}: it is not an object")
    return document


def _manifest(document: dict[str, Any]) -> Manifest:
    """The typed form of a document that fits the schema."""

    def entries(rows: list[dict[str, Any]]) -> tuple[FileEntry, ...]:
        return tuple(FileEntry(each["path"], each["size"], each["sha256"]) for each in rows)

    return Manifest(
        policyc=document["policyc"],
        policy=document["policy"],
        profile=document["profile"],
        targets=tuple(document["targets"]),
        files=entries(document["files"]),
        sources=entries(document["sources"]),
        vcpu_classes=tuple(
            (each["name"], tuple((lo, hi) for lo, hi in each["vcpus"])) for each in document["vcpu_classes"]
        ),
        variants=tuple(
            BundleVariant(each["profile"], each["vcpu_class"], each["images"]) for each in document["variants"]
        ),
        document=document,
    )


def _cross_check(manifest: Manifest) -> None:
    """What a schema cannot say: references lead somewhere, sizes are the hardware's."""
    sizes = {each.path: each.size for each in manifest.files}
    if len(sizes) != len(manifest.files) or MANIFEST in sizes:
        raise UnreadableError(f"{MANIFEST}: files: a path stands there twice, or is the manifest itself")
    if sum(sizes.values()) > MAX_BUNDLE:
        raise UnreadableError(f"{MANIFEST}: files: they are larger than {MAX_BUNDLE >> 20} MiB together")
    seen = set()
    for number, variant in enumerate(manifest.variants):
        at = f"{MANIFEST}: variants[{number}]"
        if variant.vcpu_class >= len(manifest.vcpu_classes):
            raise UnreadableError(f"{at}.vcpu_class: there is no class {variant.vcpu_class}")
        if (variant.profile, variant.vcpu_class) in seen:
            raise UnreadableError(f"{at}: this profile and class of vCPUs stand there twice")
        seen.add((variant.profile, variant.vcpu_class))
        if set(variant.images) != set(manifest.targets):
            raise UnreadableError(f"{at}.images: they are not those of the targets {', '.join(manifest.targets)}")
        for images in variant.images.values():
            for name, path in images.items():
                if path not in sizes:
                    raise UnreadableError(f"{at}.images: {path} is not among the files")
                if sizes[path] != SIZES.get(name, sizes[path]):
                    raise UnreadableError(f"{at}.images: {path} has {sizes[path]:,} bytes, not {SIZES[name]:,}")
    _check_decisions(manifest.document)


def _check_decisions(document: Mapping[str, Any]) -> None:
    """Every decision list runs from 0 to an end without gap, and names rules that exist."""
    rules = len(document["rules"])
    for number, rule in enumerate(document["rules"]):
        if rule["number"] != number:
            raise UnreadableError(f"{MANIFEST}: rules[{number}].number is {rule['number']}")
    for number, runs in enumerate(document["decisions"]):
        after = 0
        for lo, hi, chain in runs:
            if lo != after or hi < lo or max(chain) >= rules:
                raise UnreadableError(f"{MANIFEST}: decisions[{number}]: {lo}..{hi} does not follow, or names no rule")
            after = hi + 1
    for number, variant in enumerate(document["variants"]):
        for lists in ("decisions", "obligations"):
            if any(each >= len(document[lists]) for each in variant[lists].values()):
                raise UnreadableError(f"{MANIFEST}: variants[{number}].{lists}: there is no such list")


def _replaced(path: str, handle: int) -> bool:
    """Whether another folder stands at the path by now."""
    try:
        now, then = os.stat(path), os.fstat(handle)
    except OSError:
        return False
    return (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino)
