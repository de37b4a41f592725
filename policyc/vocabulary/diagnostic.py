"""What policyc says about an input: one frozen value, rendered elsewhere (policyc.reports)."""

# Annotations are evaluated here: as text, typing would compile each field's, half of this file's import time.

from policyc.vocabulary.span import Span
from policyc.vocabulary.typed import NamedTuple

ERROR, WARNING, INFO = "error", "warning", "info"


class Label(NamedTuple):
    """A marked place and the words beside it; the words may be empty."""

    span: Span
    text: str = ""


class Edit(NamedTuple):
    """Replace the characters of span by text."""

    span: Span
    text: str


class Fix(NamedTuple):
    """A patch. safe: the meaning of the policy stays. doubt: why a patch that is not safe needs a second look."""

    title: str
    edits: tuple[Edit, ...]
    safe: bool = False
    doubt: str = "the intent is not certain"


class Accesses(NamedTuple):
    """Accesses that a finding is about. space: msr or io. ranges: inclusive pairs. columns: mask of 1 << column.
    exits: whether they exit or are passed on."""

    space: str
    ranges: tuple[tuple[int, int], ...]
    columns: int
    exits: bool


class Diagnostic(NamedTuple):
    """One finding.

    code: letter and three digits, a key of policyc.vocabulary.codes.CODES. severity: error, warning or info.
    message: one plain sentence that names the user's own text. primary: None only where no source exists.
    notes: facts policyc knows (at most 2). helps: what to do (at most 2). fixes: patches.
    accesses: of a lint rule's finding, those that it is about, where the rule knows.
    """

    code: str
    severity: str
    message: str
    primary: Label | None = None
    secondary: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()
    accesses: tuple[Accesses, ...] = ()

    @property
    def slug(self) -> str:
        from policyc.vocabulary.codes import CODES

        return CODES[self.code].slug

    def sort_key(self) -> tuple[str, int, str]:
        """Source order: name, offset, code."""
        if self.primary is None:
            return ("", -1, self.code)
        source = self.primary.span.source
        return (source.name, source.base + self.primary.span.start, self.code)


class PolicyError(Exception):
    """A policy that does not compile. ``diagnostics`` holds every finding, at least one of severity error."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...] | list[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("; ".join(f"{d.code}: {d.message}" for d in self.diagnostics[:3]))


class UnreadableError(Exception):
    """A file named on the command line that cannot be read (exit code 2). The message says which and why."""


def error(
    code: str,
    message: str,
    span: Span | None,
    label: str = "",
    *,
    secondary: tuple[Label, ...] = (),
    notes: tuple[str, ...] = (),
    helps: tuple[str, ...] = (),
    fixes: tuple[Fix, ...] = (),
    severity: str = ERROR,
) -> Diagnostic:
    """A Diagnostic with its primary span, spelled short; severity defaults to error."""
    primary = None if span is None else Label(span, label)
    return Diagnostic(code, severity, message, primary, secondary, notes, helps, fixes)
