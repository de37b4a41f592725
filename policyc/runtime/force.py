"""The rules in force: a profile of a bundle, ready to be asked, and the count of what was asked."""

from __future__ import annotations

from typing import Protocol

from policyc.bundle.read import Bundle
from policyc.runtime.backend import windows
from policyc.runtime.decisions import Decisions, Question, Verdict
from policyc.vocabulary.access import PORT_LAST
from policyc.vocabulary.diagnostic import UnreadableError

MOST_SEEN = 100_000
"""Addresses that one set of rules counts apart: a guest can touch four thousand million, and must not fill our memory."""


class Enforcer(Protocol):
    """What enforces the images: a backend, or a VMM that the library was loaded into."""

    @property
    def name(self) -> str: ...

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets whose images it can enforce, the best first."""
        ...

    @property
    def simulated(self) -> bool: ...


class Seen:
    """One kind of access to one address. count: how often it came. traps: False where it only reaches user space because
    the backend makes every port exit. verdict: None where conditions decide anew each time, by question. text: for the
    reports."""

    __slots__ = ("address", "count", "kind", "question", "text", "traps", "verdict", "width")

    def __init__(
        self, kind: str, address: int, width: int, traps: bool, question: Question, verdict: Verdict | None
    ) -> None:
        self.kind = kind
        self.address = address
        self.width = width
        self.traps = traps
        self.question = question
        self.verdict = verdict
        self.count = 0
        self.text = ""


class Force:
    """by_rule: exits by the title of who decided. unlisted: exits beyond MOST_SEEN addresses. profile None: base policy."""

    def __init__(self, bundle: Bundle, profile: str | None, vcpu: int, backend: Enforcer) -> None:
        self.bundle = bundle
        self.profile = profile
        self.target = target_for(bundle, backend)
        self.decisions = Decisions(bundle, profile, vcpu, windows(self.target))
        self.images = _images(bundle, self.target, profile, vcpu)
        self.ports: dict[tuple[int, int, bool], Seen] = {}
        self.msrs: dict[tuple[int, bool], Seen] = {}
        self.by_rule: dict[str, int] = {}
        self.unlisted = 0
        self._bits = _port_bits(bundle, profile, vcpu)

    def see_port(self, port: int, width: int, write: bool) -> Seen:
        """The entry of a port access that comes for the first time."""
        question = self.decisions.port_question(port, width, write)
        kind, traps = "out" if write else "in", self.port_traps(port, width)
        seen = Seen(kind, port, width, traps, question, self._verdict(question))
        if self._has_room():
            self.ports[port, width, write] = seen
        return seen

    def see_msr(self, index: int, write: bool) -> Seen:
        question = self.decisions.msr_question(index, write)
        kind = "wrmsr" if write else "rdmsr"
        seen = Seen(kind, index, 8, True, question, self._verdict(question))
        if self._has_room():
            self.msrs[index, write] = seen
        return seen

    def _has_room(self) -> bool:
        """Whether one more address may be remembered; if not, the access is counted as unlisted."""
        if len(self.ports) + len(self.msrs) < MOST_SEEN:
            return True
        self.unlisted += 1
        return False

    def _verdict(self, question: Question) -> Verdict | None:
        return self.decisions.judge(question, 0, 0) if question.fixed else None

    def port_traps(self, port: int, width: int) -> bool:
        """What the bundle's I/O image says: any touched bit, or the end of the port space. Without an image, the rules."""
        if self._bits is None:
            return self.decisions.port_traps(port, width)
        return port + width - 1 > PORT_LAST or self._bits >> port & (1 << width) - 1 != 0

    def port_bits(self) -> bytes:
        """A bit for each port that traps, port 0 in bit 0 of the first byte."""
        if self._bits is not None:
            return (self._bits & (1 << PORT_LAST + 1) - 1).to_bytes((PORT_LAST + 1) // 8, "little")
        bits = bytearray((PORT_LAST + 1) // 8)
        for port in range(PORT_LAST + 1):
            bits[port >> 3] |= self.decisions.port_traps(port, 1) << (port & 7)
        return bytes(bits)

    def traps(self, kind: str, address: int) -> bool:
        """Whether accesses of a kind to an address exit at all under these rules."""
        if kind in ("in", "out"):
            return self.port_traps(address, 1)
        return self.decisions.msr_traps(address, kind == "wrmsr")


def target_for(bundle: Bundle, backend: Enforcer) -> str:
    """The best target that the backend can enforce and the bundle has."""
    for name in backend.targets:
        if name in bundle.manifest.targets:
            return name
    has, wants = ", ".join(bundle.manifest.targets), " or ".join(backend.targets)
    why = "".join(
        f"; {each['target']} was left out: {each['reason']}"
        for each in bundle.manifest.document["left_out"]
        if each["target"] in backend.targets
    )
    raise UnreadableError(f"the backend {backend.name} needs images for {wants}; the bundle has {has}{why}")


IMAGES = {"vmx": ("msr.bin", "io.bin"), "svm": ("msrpm.bin", "iopm.bin"), "kvm": ("kvm_filter.json",)}
"""What each target must have; a manifest may come from anybody."""


def _images(bundle: Bundle, target: str, profile: str | None, vcpu: int) -> dict[str, bytes]:
    images = bundle.images(target, profile, vcpu)
    missing = [each for each in IMAGES.get(target, ()) if each not in images]
    if missing:
        raise UnreadableError(f"manifest.json: the images for {target} lack {', '.join(missing)}")
    return images


def _port_bits(bundle: Bundle, profile: str | None, vcpu: int) -> int | None:
    """The bits of all ports as one number, from the image of VT-x or of SVM; None where the bundle has neither."""
    for target, image in (("vmx", "io.bin"), ("svm", "iopm.bin")):
        if target in bundle.manifest.targets:
            return int.from_bytes(_images(bundle, target, profile, vcpu)[image], "little")
    return None
