"""T501: an MSR without a bit."""

from __future__ import annotations

from policyc.lint.rule import Rule

RULE = Rule(
    "T501",
    "outside-window",
    "info",
    why=(
        "The bitmaps of VT-x have bits for 0x0..0x1fff and 0xc0000000..0xc0001fff, SVM's for "
        "0xc0010000..0xc0011fff too. Every other MSR exits, always. An `intercept` there only chooses what "
        "the handler does, which is told as information; an `allow` cannot be kept, which is an error."
    ),
    source='Intel SDM vol. 3C, "MSR-Bitmap Address"; AMD64 APM vol. 2, "MSR Intercepts"; gbhv issue 9',
    avoid="""\
language 1
target vmx
default passthrough
intercept msr 0x40000000
""",
    prefer="""\
language 1
target vmx
default passthrough
default msr outside -> inject(gp)
""",
    by_compiler=True,
)
