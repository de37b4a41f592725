"""What runs a guest. A backend is one class; tests/runtime/test_contract.py holds every one to what is said here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import NoReturn, Protocol

from policyc.runtime.guest import Start
from policyc.vocabulary.access import PORT_LAST
from policyc.vocabulary.diagnostic import UnreadableError
from policyc.vocabulary.intervals import Intervals

NAMES = {
    "kvm": "policyc.runtime.kvm:Kvm",
    "sim": "policyc.runtime.sim:Simulation",
    "bochs": "policyc.runtime.emulated:Bochs",
    "qemu-svm": "policyc.runtime.emulated:QemuSvm",
}
"""The backends that come with policyc; any other is named ``package.module:Class``."""

EMULATED = ("bochs", "qemu-svm")
"""Those that are made with the bundle, profile, vcpu and autos, as they compile the bundle's handler."""

EVERY_PORT: Intervals = ((0, PORT_LAST),)


class Unavailable(Exception):
    """The backend cannot work on this machine. The message says why."""


class Ports(Protocol):
    """What ports lead to where no exit happens."""

    def read_port(self, port: int, width: int) -> int: ...

    def write_port(self, port: int, width: int, value: int) -> None: ...


class Exits(Protocol):
    """What a backend calls on the vCPU's thread. A policyc.runtime.acting.Fault that is raised here becomes the guest's
    exception, with RIP at the instruction and no register changed; a Stop ends the run and is let through."""

    def port(self, port: int, width: int, write: bool, value: int) -> int:
        """One IN (the answer is its value) or OUT of 1, 2 or 4 bytes; string instructions give one call an element."""
        ...

    def msr(self, index: int, write: bool, value: int) -> int:
        """RDMSR (the answer is its value) or WRMSR."""
        ...

    def other(self, what: str) -> None:
        """An exit that no policy speaks of, such as ``mmio``: it counts."""
        ...

    def poll(self) -> None:
        """Called after ``interrupt``: raises Stop if the run is to end."""
        ...


class Backend(Protocol):
    """One virtual machine of one vCPU. Made with no arguments or with keyword arguments of its own; raises Unavailable.

    Contract: an access exits (calls Exits) if and only if the images in force say so, or it touches a port of
    ``always_exits``; images change between two instructions, never within one; what exits under old and new images
    alike exits at every moment; after ``close`` no file and no memory is left.
    """

    name: str
    simulated: bool
    """Whether the report must say aloud that no hardware was involved."""
    targets: tuple[str, ...]
    """Targets whose images it can enforce, the best first."""

    @property
    def always_exits(self) -> Intervals:
        """Ports that exit whatever the images say."""
        ...

    def start(self, start: Start) -> None:
        """Take a guest; once, before all below."""
        ...

    def install(self, target: str, images: Mapping[str, bytes]) -> None:
        """Put images in force, from any thread, at any time after ``start``. Raises UnreadableError for images that it
        refuses; then the old ones stay in force."""
        ...

    def run(self, exits: Exits, ports: Ports) -> NoReturn:
        """Run the guest until Stop is raised. ports: for accesses that do not exit."""
        ...

    def interrupt(self) -> None:
        """From any thread: have ``Exits.poll`` called soon, whatever the guest does."""
        ...

    def cpl(self) -> int:
        """The guest's privilege level at the exit that is being handled."""
        ...

    def read_msr(self, index: int) -> int:
        """The MSR as the machine has it, past all filters. Raises Fault for one that is not there."""
        ...

    def write_msr(self, index: int, value: int) -> None: ...

    def registers(self) -> dict[str, int]:
        """rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8..r15, rip, rflags."""
        ...

    def memory(self) -> memoryview:
        """The guest's RAM, to read and write; release it before ``close``."""
        ...

    def notes(self) -> tuple[str, ...]:
        """What this backend does not see, for the report."""
        ...

    def close(self) -> None: ...


def windows(target: str) -> Intervals | None:
    """MSRs that have bits under a target; None where there is no bitmap and each MSR is filtered (KVM)."""
    from policyc.targets.registry import target as find

    return None if target == "kvm" else find(target).msr_windows


def make(name: str, **options: object) -> Backend:
    """A backend by name. Raises Unavailable, or UnreadableError for a name that leads nowhere."""
    path = NAMES.get(name, name)
    module, colon, attribute = path.partition(":")
    if not colon:
        raise UnreadableError(f"there is no backend {name!r}; it is one of {', '.join(NAMES)}, or package.module:Class")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as reason:
        raise UnreadableError(f"the backend {name!r} cannot be imported: {reason}") from None
    backend: Backend = found(**options)
    return backend


def default() -> str:
    """``kvm`` where /dev/kvm opens, else ``sim``."""
    import os

    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return "sim"
    return "kvm"
