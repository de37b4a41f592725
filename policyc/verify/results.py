"""What every executor gives back, and what one is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from policyc.bundle.read import Bundle
from policyc.verify.compare import Compared

Listener = Callable[[float], None]
"""Called with how much is done, 0.0 to 1.0."""

Begin = Callable[[str], Listener]
"""Called with the name of what is tried next."""


class Result(NamedTuple):
    """One executor on the variants that have the same images. tools: with versions."""

    executor: str
    variants: tuple[str, ...]
    tools: tuple[str, ...]
    seconds: float
    compared: Compared


class Executor(Protocol):
    """One who executes what is in a bundle."""

    @property
    def name(self) -> str:
        """As ``policyc verify --on`` names it."""
        ...

    @property
    def target(self) -> str | None:
        """Whose images it needs; None for no images."""
        ...

    @property
    def unasked(self) -> bool:
        """Whether it runs without being named."""
        ...

    def missing(self) -> tuple[str, ...]:
        """All that this machine lacks, each ``apt install ...`` or words that follow ``it needs``."""
        ...

    def verify(self, bundle: Bundle, profile: str | None, begin: Begin) -> Iterator[Result]:
        """Execute and compare. profile: this one alone. Raises UnreadableError where it cannot come to its end."""
        ...


def variant_name(bundle: Bundle, number: int) -> str:
    """``base policy``, ``profile hardened``, ``profile hardened, vCPUs 0-1``."""
    variant = bundle.manifest.variants[number]
    name = "base policy" if variant.profile is None else f"profile {variant.profile}"
    vcpus, _ = bundle.manifest.vcpu_classes[variant.vcpu_class]
    return name if vcpus == "rest" else f"{name}, vCPUs {vcpus}"


def alike(bundle: Bundle, target: str, profile: str | None) -> list[list[int]]:
    """Numbers of the variants with images of a target; together those that have the same and decide the same."""
    manifest = bundle.manifest
    groups: dict[tuple[object, ...], list[int]] = {}
    for number, variant in enumerate(manifest.variants):
        if target not in variant.images or profile not in (None, variant.profile):
            continue
        told = manifest.document["variants"][number]
        key = (*sorted(variant.images[target].items()), *sorted(told["decisions"].items()), repr(told["defaults"]))
        groups.setdefault(key, []).append(number)
    return list(groups.values())
