"""T515: the last MSR, which no KVM range reaches."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "T515",
    "kvm-last-msr",
    "error",
    why=(
        "The end of a filter range is computed in 32 bits: one that ends at 0xffffffff ends at 0 and matches nothing."
    ),
    source="Linux arch/x86/kvm/x86.c, kvm_msr_allowed",
    avoid="""\
language 1
target kvm
default msr passthrough
default io exit
intercept msr 0xffffffff
""",
    prefer="""\
language 1
target kvm
default msr passthrough
default io exit
intercept msr 0xfffffffe
""",
    by_compiler=True,
)
