"""S424: a guest talks to the hypervisor below the host."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import FROM_GUEST, Rule
from policyc.lint.subject import Subject
from policyc.lint.words import opened
from policyc.vocabulary.access import IO, IO_MASK
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import subtract, union

RULE = Rule(
    "S424",
    "backdoor-port",
    "warning",
    why=(
        "Where the hypervisor itself runs in a virtual machine, the ports by which guests talk to VMware, "
        "QEMU or Bochs reach the hypervisor below it: configuration, debug consoles, exits. Off by default: "
        "on bare machines nothing answers there."
    ),
    source="QEMU docs/specs/fw_cfg.rst, hw/misc/debugexit.c; open-vm-tools backdoor_def.h",
    avoid="""\
language 1
target vmx
default passthrough
""",
    prefer="""\
language 1
target vmx
default msr passthrough
default io exit
""",
    threats=FROM_GUEST,
    on=False,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    ranges = subtract(subject.ports("backdoor"), subject.ports("host-critical", "pci-config"))
    ranges = union(ranges, subject.ports("device:fw-cfg", "device:vmport"))
    notes = ("where this hypervisor is itself a guest, the hypervisor below it answers",)
    yield from opened(RULE, subject, IO, ranges, IO_MASK, what="reach", notes=notes)
