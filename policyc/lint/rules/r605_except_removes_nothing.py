"""R605: an exception that takes nothing away."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.semantics.wording import brief
from policyc.syntax import tree
from policyc.targets.windows import listed
from policyc.vocabulary.diagnostic import Diagnostic
from policyc.vocabulary.intervals import intersect

RULE = Rule(
    "R605",
    "except-removes-nothing",
    "warning",
    why=(
        "The excepted addresses are not among those of the rule: usually a slip of the window, as EFER "
        "(0xc0000080) is not in 0x0..0x1fff."
    ),
    source="policyc: docs/language.md",
    avoid="""\
language 1
target vmx
default passthrough
intercept msr 0x0..0x1fff except { IA32_EFER, IA32_TSC } -> log(rate=1), passthrough
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept msr 0x0..0x1fff except { IA32_SPEC_CTRL, IA32_TSC } -> log(rate=1), passthrough
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    for file, statement in subject.statements():
        if not isinstance(statement, tree.Rule | tree.LetSet | tree.Never | tree.Assert) or statement.excepts is None:
            continue
        scope, space = subject.scope(file), statement.space.text
        inside = scope.items(space, statement.items, None, [])
        for item in statement.excepts.items:
            out = scope.items(space, tree.Items((item,), False, item.span), None, [])
            if inside is not None and out and not intersect(inside, out):
                yield found(
                    RULE,
                    item.span,
                    f"`{brief(item.span.text)}` ({listed(out)}) is not among {listed(inside)}",
                    helps=("delete it, or correct the range",),
                )
