"""R606: a name that nothing uses."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.alike import names_in, whole_lines
from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.syntax import tree
from policyc.vocabulary.diagnostic import Diagnostic, Edit, Fix

RULE = Rule(
    "R606",
    "unused-let",
    "warning",
    why="Its rule was deleted, or names something else by mistake.",
    source="policyc: docs/language.md",
    avoid="""\
language 1
target vmx
default passthrough
let msr TRACE = { IA32_RTIT_CTL, IA32_DS_AREA }
intercept msr IA32_RTIT_CTL write
""",
    prefer="""\
language 1
target vmx
default passthrough
let msr TRACE = { IA32_RTIT_CTL, IA32_DS_AREA }
intercept msr TRACE write
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    statements = subject.files[0].module.statements
    lets = [each for each in statements if isinstance(each, tree.LetSet | tree.LetConst)]
    used = names_in(statements) if lets else set()
    for statement in lets:
        if statement.name.text in used:
            continue
        fix = Fix("delete it", (Edit(whole_lines(statement.span), ""),), safe=True)
        said = f"nothing uses `{statement.name.text}`"
        yield found(RULE, statement.name.span, said, helps=("delete it",), fixes=(fix,))
