"""T504: more ranges than KVM's filter takes."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "T504",
    "kvm-range-limit",
    "error",
    why=(
        "KVM takes sixteen ranges of at most 0x3000 MSRs. policyc packs what lies close together into one; "
        "MSRs strewn over more than sixteen places do not fit."
    ),
    source="Linux arch/x86/include/uapi/asm/kvm.h, KVM_MSR_FILTER_MAX_RANGES; api.rst 4.97",
    avoid="""\
language 1
target kvm
default msr passthrough
default io exit
intercept msr 0x10000
intercept msr 0x20000
intercept msr 0x30000
intercept msr 0x40000
intercept msr 0x50000
intercept msr 0x60000
intercept msr 0x70000
intercept msr 0x80000
intercept msr 0x90000
intercept msr 0xa0000
intercept msr 0xb0000
intercept msr 0xc0000
intercept msr 0xd0000
intercept msr 0xe0000
intercept msr 0xf0000
intercept msr 0x100000
intercept msr 0x110000
""",
    prefer="""\
language 1
target kvm
default msr passthrough
default io exit
intercept msr { 0x10000, 0x10100, 0x10200 }
""",
    by_compiler=True,
)
