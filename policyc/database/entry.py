"""One fact of the database, and the words it may be told in. README.md beside this file is the format."""

from __future__ import annotations

from policyc.vocabulary.intervals import Intervals
from policyc.vocabulary.typed import NamedTuple

VERSION = "2026.11"
"""Version of the built-in database: year and month. Policies, manifests and messages cite it."""

ACCESSES = ("r", "w", "rw")
VENDORS = ("any", "intel", "amd", "centaur", "transmeta", "kvm", "hyperv", "xen", "vmware")

MSR_TAGS = frozenset(
    "hot host-critical side-channel vmcs-switched switch memory-type x2apic trace power mce microcode smm pmu mtrr vmx "
    "svm sgx cet fred speculation energy identity time syscall segment-base paravirtual debug".split()
)
PORT_TAGS = frozenset("hot host-critical reset nmi smm pci-config acpi gpe backdoor whole".split())
PORT_TAG_FAMILIES = ("device:", "platform:")
"""Tags of ports that carry a name of their own: ``device:uart``, ``platform:q35``."""


class Entry(NamedTuple):
    """One register, or a family of like ones.

    space: ``msr`` or ``io``. lo: MSR index or port; hi: last port of a range, else lo. members: how many, 1 if it is no
    family; member n stands at lo + n * stride (a family's members are single addresses, so hi == lo).
    aliases: other names; ``{}`` in one stands for the number of a member. about: one line. access: r, w or rw.
    models: processors on which it is that; empty = all that have it. tags: sorted. source: where it was read.
    """

    space: str
    name: str
    lo: int
    hi: int
    members: int
    stride: int
    aliases: tuple[str, ...]
    about: str
    access: str
    vendor: str
    models: str
    tags: tuple[str, ...]
    source: str

    @property
    def family(self) -> bool:
        return self.members > 1

    @property
    def last(self) -> int:
        """The highest address of the entry."""
        return self.hi + (self.members - 1) * self.stride

    @property
    def ranges(self) -> Intervals:
        """Every address of the entry."""
        if self.members == 1 or self.stride == 1:
            return ((self.lo, self.last),)
        return tuple((each, each) for each in range(self.lo, self.last + 1, self.stride))

    def member(self, address: int) -> int | None:
        """Which member of the family an address is; None where it is no family or has no such address."""
        if not self.family or not self.lo <= address <= self.last or (address - self.lo) % self.stride:
            return None
        return (address - self.lo) // self.stride

    def shown(self, address: int) -> str:
        """The name of one address: ``IA32_EFER``, ``IA32_MTRR_PHYSBASE[3]``."""
        number = self.member(address)
        return self.name if number is None else f"{self.name}[{number}]"

    def names(self) -> tuple[str, ...]:
        """Every name that resolves to the entry or to a member of it, the canonical one first."""
        found = [self.name]
        for alias in self.aliases:
            if "{}" in alias:
                found += [alias.replace("{}", str(number)) for number in range(self.members)]
            else:
                found.append(alias)
        return tuple(found)


def naming_rank(vendor: str, models: str) -> tuple[bool, int]:
    """Lowest first: which of the entries that share a number names it in messages."""
    return bool(models), min(VENDORS.index(vendor), 2)
