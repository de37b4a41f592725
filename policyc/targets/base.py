"""What a target is: it turns a decision map into images, or says why it cannot."""

from __future__ import annotations

from policyc.semantics.policy import DecisionMap, Policy
from policyc.targets.traps import Traps
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import Intervals
from policyc.vocabulary.typed import NamedTuple, Protocol


class Image(NamedTuple):
    """One file of a bundle. name: its file name, such as ``msr.bin``."""

    name: str
    data: bytes


class Setting(NamedTuple):
    """One thing a hypervisor must set for the images to count, for the manifest and the handler's obligations.

    where: the field in the manual's name. need: what it must hold, in words. encoding: VMCS encoding or VMCB offset.
    """

    where: str
    need: str
    encoding: int | None = None


class Target(Protocol):
    """One target. Contract (tests/targets/test_contract.py): images are deterministic and have the stated sizes."""

    name: str
    msr_windows: Intervals
    """MSRs whose exit the target can decide; others exit always."""
    always_exits_past_last_port: bool
    """Whether an access that runs past port 0xffff exits whatever the images say."""
    io_bitmap: bool
    """Whether port exits are decided by an image (else every port access exits)."""

    def problems(self, policy: Policy, maps: tuple[DecisionMap, ...]) -> tuple[Diagnostic, ...]:
        """Why the policy cannot be expressed (severity error), and what a user should know (info)."""

    def images(self, traps: Traps) -> tuple[Image, ...]:
        """The images of a variant with these traps. Call only where ``problems`` has no error."""

    def settings(self) -> tuple[Setting, ...]:
        """What the hypervisor must set."""
