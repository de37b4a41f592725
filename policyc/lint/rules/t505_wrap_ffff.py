"""T505: accesses that run past the last port."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "T505",
    "wrap-ffff",
    "info",
    why=(
        "An access of two or four bytes that runs past port 0xffff exits on VT-x whatever the bitmap says; on "
        "SVM the bits behind the last port, which policyc sets, do the same."
    ),
    source=(
        'Intel SDM vol. 3C, "Instructions That Cause VM Exits Conditionally"; kvm-unit-tests vmx_tests.c, iobmp overrun'
    ),
    avoid="""\
language 1
target vmx
default passthrough
intercept io 0xfff0..0xffff
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept io 0xffe0..0xffef
""",
    by_compiler=True,
)
