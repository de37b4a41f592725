"""P308: one rule traps a whole window, the busy registers with it."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found, registers
from policyc.targets.windows import listed
from policyc.vocabulary.access import MSR
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import intersect, size

RULE = Rule(
    "P308",
    "whole-window",
    "warning",
    why=(
        "A rule over all of a bitmap window traps what guests touch at every switch of threads or processes. "
        "Nearly always these were forgotten, not meant."
    ),
    source="the rules P301 and P306, which name the registers",
    avoid="""\
language 1
target vmx
default passthrough
intercept msr 0xc0000000..0xc0001fff -> log(rate=5), passthrough
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept msr 0xc0000000..0xc0001fff except IA32_FS_BASE..IA32_KERNEL_GS_BASE -> log(rate=5), passthrough
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    hot = subject.msrs("hot")
    for rule in subject.policy.rules:
        if rule.space != MSR or rule.actions[-1].name in ("inject", "kill") or not rule.traps or not subject.own(rule):
            continue
        for window in _WINDOWS:
            inside = intersect(rule.ranges, (window,))
            busy = intersect(inside, hot)
            if busy and size(inside) * 10 > (window[1] - window[0] + 1) * 9:
                yield found(
                    RULE,
                    rule.span,
                    f"this rule traps {size(inside):,} MSRs, {registers(subject, MSR, busy)} among them",
                    notes=("guests touch these at every switch of threads, interrupt or tick",),
                    helps=(f"leave them out: except {listed(busy, 16)}",),
                )


_WINDOWS = ((0, 0x1FFF), (0xC000_0000, 0xC000_1FFF), (0xC001_0000, 0xC001_1FFF))
"""What the MSR bitmaps have bits for: VT-x the first two, SVM all three."""
