"""One line a diagnostic, as editors and grep read it: ``vm.pol:4:15: error[E011] bad-number: ...``."""

from __future__ import annotations

from policyc.reports.cells import safe, sentence
from policyc.vocabulary.diagnostic import Diagnostic


def line(diagnostic: Diagnostic) -> str:
    """Without a newline. What has no place in a source begins with ``policyc:``."""
    where = "policyc"
    if diagnostic.primary is not None:
        span = diagnostic.primary.span
        number, column = span.source.position(span.start)
        where = f"{safe(span.source.name)}:{number}:{column}"
    return f"{where}: {diagnostic.severity}[{diagnostic.code}] {diagnostic.slug}: {sentence(diagnostic.message)}"
