"""Y703: a number that has a name."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.semantics.modules import Loaded
from policyc.syntax import tree
from policyc.vocabulary.access import MSR
from policyc.vocabulary.diagnostic import Diagnostic, Edit, Fix

RULE = Rule(
    "Y703",
    "magic-number",
    "info",
    why="A reviewer knows IA32_EFER, not 0xc0000080. The fix writes the name; images stay what they are.",
    source="policyc: `policyc msr`, `policyc port`",
    avoid="""\
language 1
target vmx
default passthrough
intercept msr 0xc0000080 write
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
                yield from _check(subject, file, statement, item)


def _check(
    subject: Subject, file: Loaded, statement: tree.Rule | tree.Never | tree.Assert | tree.LetSet, item: tree.Item
) -> Iterator[Diagnostic]:
    if not isinstance(item, tree.Single) or not isinstance(item.value, tree.Number):
        return
    space, address, database = statement.space.text, item.value.value, subject.database
    name = database.msr_name(address) if space == MSR else database.port_name(address)
    scope = subject.scope(file)
    if name is None or name.partition("[")[0] in scope.lets:
        return
    meant = database.msr(name) if space == MSR else database.port(name)
    defined = statement.name.text if isinstance(statement, tree.LetSet) else ""
    if ("[" not in name and meant != ((address, address),)) or defined == name:
        return
    fix = Fix(f"write {name}", (Edit(item.span, name),), safe=True)
    said = f"{item.span.text} is {name}"
    yield found(RULE, item.span, said, helps=("write the name",), fixes=(fix,))
