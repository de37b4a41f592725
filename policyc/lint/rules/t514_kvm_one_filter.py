"""T514: KVM has one MSR filter a VM."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "T514",
    "kvm-one-filter",
    "error",
    why="KVM's filter belongs to the virtual machine, so vCPUs cannot differ in which MSRs exit.",
    source="Linux arch/x86/kvm/x86.c, kvm_vm_ioctl_set_msr_filter",
    avoid="""\
language 1
target kvm
default msr passthrough
default io exit
intercept msr 0x1b on vcpu 0
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
