"""Which file of the bundle holds which image of which variant."""

from __future__ import annotations

from collections.abc import Mapping

from policyc.semantics.policy import Policy, Variant
from policyc.targets.base import Image
from policyc.vocabulary.typed import NamedTuple

Images = Mapping[Variant, Mapping[str, tuple[Image, ...]]]
"""Images by variant and target."""

_LONGEST = 100
"""Characters of a vCPU class's name that may name a folder; ``0_2_4_...`` can be longer than a path may be."""


class FileEntry(NamedTuple):
    """One file of a bundle, or one source of its policy. path: relative. size: bytes. sha256: lower-case hex."""

    path: str
    size: int
    sha256: str


class Layout(NamedTuple):
    """files: the images under their paths. paths[variant][target][image]: where an image is."""

    files: tuple[Image, ...]
    paths: Mapping[Variant, Mapping[str, Mapping[str, str]]]


def lay_out(policy: Policy, images: Images, top: str | None) -> Layout:
    """Paths for all images. top: the profile whose images stand at the top of the bundle, None for the base policy.

    A class of vCPUs whose image is that of the first class has no file of its own.
    """
    files: dict[str, Image] = {}
    paths: dict[Variant, dict[str, dict[str, str]]] = {}
    for variant, targets in images.items():
        folder = _folder(policy, variant, top)
        first = images[Variant(variant.profile, 0)]
        paths[variant] = {}
        for target, found in targets.items():
            names = paths[variant][target] = {}
            for image, shared in zip(found, first[target], strict=True):
                own = image.data != shared.data
                names[image.name] = path = (
                    folder if own else _folder(policy, Variant(variant.profile), top)
                ) + image.name
                files[path] = Image(path, image.data)
    return Layout(tuple(files[path] for path in sorted(files)), paths)


def _folder(policy: Policy, variant: Variant, top: str | None) -> str:
    """Folder of a variant's own images, ending in ``/`` unless it is the top."""
    profile = "" if variant.profile == top else f"profiles/{variant.profile}/"
    if variant.vcpu_class == 0:
        return profile
    name = policy.vcpu_classes[variant.vcpu_class].name
    return f"{profile}vcpus/{name if len(name) <= _LONGEST else f'class-{variant.vcpu_class}'}/"
