"""Y704: a name that is not the canonical one."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.semantics.modules import Loaded
from policyc.syntax import tree
from policyc.vocabulary.diagnostic import Diagnostic, Edit, Fix

RULE = Rule(
    "Y704",
    "alias-name",
    "info",
    why=(
        "The database knows several names for one register. One name for one thing makes a search through "
        "policies complete."
    ),
    source="policyc: database names follow Intel SDM vol. 4 and the AMD64 APM",
    avoid="""\
language 1
target vmx
default passthrough
intercept msr MSR_EFER write
""",
    prefer="""\
language 1
target vmx
default passthrough
intercept msr IA32_EFER write
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    for file, statement in subject.statements():
        if not isinstance(statement, tree.Rule | tree.Never | tree.Assert | tree.LetSet):
            continue
        for items in (statement.items, statement.excepts):
            for item in items.items if items is not None else ():
                if isinstance(item, tree.Single) and isinstance(item.value, tree.Name):
                    yield from _check(subject, file, statement.space.text, item.value)


def _check(subject: Subject, file: Loaded, space: str, name: tree.Name) -> Iterator[Diagnostic]:
    canonical = subject.database.canonical(space, name.text)
    lets = subject.scope(file).lets
    if canonical is None or canonical == name.text or name.text in lets or canonical.partition("[")[0] in lets:
        return
    fix = Fix(f"write {canonical}", (Edit(name.span, canonical),), safe=True)
    yield found(RULE, name.span, f"`{name.text}` is called {canonical} here", helps=("write that",), fixes=(fix,))
