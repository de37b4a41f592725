"""Before verdicts are compared: is there one map and one set of whole images for every variant, and no file more?"""

from __future__ import annotations

from collections.abc import Mapping

from policyc.proof.mismatch import Findings, Mismatch
from policyc.proof.rows import MSR_IMAGE, PORT_IMAGE, SIZES
from policyc.semantics.policy import DecisionMap, Policy, Variant
from policyc.targets.base import Image
from policyc.vocabulary.access import VCPU_LAST
from policyc.vocabulary.intervals import Intervals, intersect, size, union

KVM_IMAGE = "kvm_filter.json"
FILES = {
    "vmx": (MSR_IMAGE["vmx"], PORT_IMAGE["vmx"]),
    "svm": (MSR_IMAGE["svm"], PORT_IMAGE["svm"]),
    "kvm": (KVM_IMAGE,),
}
"""The images that are proven, by target. A target that writes another file has to teach the proof to read it."""


def check_shape(
    policy: Policy,
    maps: Mapping[Variant, DecisionMap],
    images: Mapping[Variant, Mapping[str, tuple[Image, ...]]],
    findings: Findings,
) -> None:
    _check_classes(policy, findings)
    _check_variants(policy, maps, images, findings)
    first = next(iter(images.values()), {})
    for variant, targets in images.items():
        if set(targets) != set(first):
            findings.add(_fault(variant, "policy", f"targets {', '.join(first)}", ", ".join(targets)))
        for target, files in targets.items():
            _check_files(variant, target, files, findings)


def _fault(variant: Variant, where: str, expected: str, found: str) -> Mismatch:
    return Mismatch(variant, where, None, expected, found)


def _check_classes(policy: Policy, findings: Findings) -> None:
    """The vCPU classes share out all vCPUs, and no rule means a part of one: what is proven of one member is so of
    all."""
    classes = [each.vcpus for each in policy.vcpu_classes]
    everyone: Intervals = ((0, VCPU_LAST),)
    if union(*classes) != everyone or sum(size(each) for each in classes) != VCPU_LAST + 1:
        findings.add(_fault(Variant(), "policy", f"classes that share out vCPUs 0..{VCPU_LAST}", str(classes)))
    for vcpus in {rule.vcpus for rule in policy.rules if rule.vcpus is not None}:
        for index, each in enumerate(classes):
            if intersect(vcpus, each) not in ((), each):
                findings.add(_fault(Variant(None, index), "policy", "rules that bind all of a class", str(vcpus)))


def _check_variants(
    policy: Policy,
    maps: Mapping[Variant, DecisionMap],
    images: Mapping[Variant, Mapping[str, tuple[Image, ...]]],
    findings: Findings,
) -> None:
    """Whole profiles: those compiled have every class of vCPUs, and each has a map and images."""
    profiles = {variant.profile for variant in (*maps, *images)}
    wanted = {Variant(name, index) for name in profiles for index in range(len(policy.vcpu_classes))}
    if not wanted:
        findings.add(_fault(Variant(), "decision map", "at least one variant", "none"))
    for variant in sorted(wanted | set(maps) | set(images), key=lambda each: (each.profile or "", each.vcpu_class)):
        for where, held in (("decision map", variant in maps), ("images", variant in images)):
            if variant not in wanted or not held:
                findings.add(_fault(variant, where, "one for each variant", "none" if not held else "one too many"))


def _check_files(variant: Variant, target: str, files: tuple[Image, ...], findings: Findings) -> None:
    wanted = FILES.get(target, ())
    names = tuple(image.name for image in files)
    if sorted(names) != sorted(wanted) or not wanted:
        findings.add(_fault(variant, target, f"the images {', '.join(wanted)}", ", ".join(names) or "none"))
    for image in files:
        expected = SIZES.get(image.name, len(image.data))
        if len(image.data) != expected:
            findings.add(_fault(variant, image.name, f"{expected} bytes", f"{len(image.data)} bytes"))
