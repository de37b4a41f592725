"""T502: KVM never filters x2APIC MSRs."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "T502",
    "kvm-x2apic",
    "error",
    why=(
        "KVM lets the MSRs 0x800..0x8ff past every filter, without a word. A policy that traps one cannot hold on KVM."
    ),
    source="Linux Documentation/virt/kvm/api.rst, KVM_X86_SET_MSR_FILTER",
    avoid="""\
language 1
target kvm
default msr passthrough
default io exit
intercept msr 0x808
""",
    prefer="""\
language 1
target kvm
default msr passthrough
default io exit
intercept msr 0x1b
""",
    by_compiler=True,
)
