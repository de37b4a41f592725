"""T513: a default target that cannot express the policy."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "T513",
    "target-left-out",
    "warning",
    why=(
        "Without a `target` statement a policy compiles to vmx and kvm. Where one of them cannot express it, "
        "it is left out and the manifest says why. Naming the targets makes it an error or makes it go away."
    ),
    source="policyc: docs/targets.md",
    avoid="""\
language 1
default msr passthrough
default io exit
intercept msr 0x808
""",
    prefer="""\
language 1
target vmx
default msr passthrough
default io exit
intercept msr 0x808
""",
    by_compiler=True,
)
