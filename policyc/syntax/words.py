"""The language's reserved words, and what is said where one stands in the wrong place."""

from __future__ import annotations

from policyc.syntax import tree
from policyc.vocabulary.diagnostic import Diagnostic, Edit, Fix, error

STATEMENT_WORDS = (
    "language", "target", "import", "let", "default", "override", "intercept", "allow", "deny", "profile", "assert",
    "never", "test",
)  # fmt: skip
"""Words that a statement can begin with (a rule may also begin with a label)."""

CASE_WORDS = ("rdmsr", "wrmsr", "in", "out")

KEYWORDS = frozenset(
    (
        *STATEMENT_WORDS, *CASE_WORDS, "as", "msr", "io", "const", "passthrough", "exit", "outside", "except", "read",
        "write", "rw", "inout", "width", "when", "and", "on", "vcpu", "len", "value", "cpl", "extends", "not",
        "intercepted", "action",
    )
)  # fmt: skip


def reserved_word(name: tree.Name) -> Diagnostic:
    """A keyword where a name is needed."""
    return error(
        "E001",
        f"`{name.text}` is a reserved word and cannot be a name",
        name.span,
        "a name is needed here",
        helps=(f"put it in backquotes: `{name.text}`",),
        fixes=(Fix("quote the name", (Edit(name.span, f"`{name.text}`"),), safe=True),),
    )


def repeated_option(word: tree.Word) -> Diagnostic:
    """``width 1 width 2`` in a test case."""
    return error("E001", f"`{word.text}` is given twice", word.span, helps=("a case has one of each",))
