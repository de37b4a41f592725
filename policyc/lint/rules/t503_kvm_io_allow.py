"""T503: KVM has no I/O bitmap."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "T503",
    "kvm-io-allow",
    "error",
    why=(
        "On KVM every port that no device in the kernel claims exits to user space. An `allow io` cannot take "
        "that exit away."
    ),
    source="Linux arch/x86/kvm/vmx/vmx.c sets unconditional I/O exiting; api.rst has no port filter",
    avoid="""\
language 1
target kvm
default msr passthrough
default io exit
# Old delays.
allow io POST
""",
    prefer="""\
language 1
target kvm
default msr passthrough
default io exit
intercept io POST -> drop
""",
    by_compiler=True,
)
