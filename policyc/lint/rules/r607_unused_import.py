"""R607: an import that nothing uses."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.alike import modules_in, whole_lines
from policyc.lint.rule import Rule
from policyc.lint.subject import STD, Subject
from policyc.lint.words import found
from policyc.syntax import tree
from policyc.vocabulary.diagnostic import Diagnostic, Edit, Fix

RULE = Rule(
    "R607",
    "unused-import",
    "warning",
    why="The module has no rules or assertions of its own, and none of its names is used.",
    source="policyc: docs/language.md",
    avoid="""\
language 1
target vmx
import "std/pic.pol"
default passthrough
intercept io RESET_CONTROL -> forward(reset)
""",
    prefer="""\
language 1
target vmx
import "std/reset.pol"
default passthrough
intercept io reset.RESET_CONTROL -> forward(reset_control)
""",
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    for file in subject.files:
        imports = [each for each in file.module.statements if isinstance(each, tree.Import)]
        used = modules_in(file.module.statements) if imports else set()
        scope = subject.scope(file)
        for statement in imports:
            path = statement.path.value
            alias = (
                statement.alias.text if statement.alias is not None else path.rpartition("/")[2].removesuffix(".pol")
            )
            module = scope.modules.get(alias)
            if alias in used or module is None or not path.startswith(STD):
                continue
            if path == _platform(subject, path):
                continue
            fix = Fix("delete it", (Edit(whole_lines(statement.span), ""),), safe=True)
            yield found(RULE, statement.span, f"nothing uses `{alias}`", helps=("delete it",), fixes=(fix,))


def _platform(subject: Subject, path: str) -> str:
    """The path itself where the import states the platform (S410 reads it), else nothing."""
    return path if path.startswith(f"{STD}acpi_") and not subject.stated_platform else ""
