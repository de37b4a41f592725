"""Whatever a user's file holds, it is read or refused in words, with a place inside it."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from policyc.database.names import load
from policyc.vocabulary.codes import CODES
from policyc.vocabulary.diagnostic import Diagnostic, PolicyError

GOOD = """\
- name: SITE_SCRATCH
  index: 0xc0001f00
  count: 4
  aliases: [SCRATCH, "SCRATCH{}"]
  about: "Scratch: ours."
  access: rw
  tags: [switch]
  vendor: any
  source: our own manual
- {name: SITE_DOOR, ports: 0x5658..0x5659, about: Ours., access: r, vendor: any, source: ours}
"""

PIECES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["- ", "\n", "  ", ": ", "{", "}", "[", "]", "&a ", "*a", "!!", "|\n", ">\n", "? ", "---\n", "%", "0x"]
    ),
)


@given(st.integers(0, len(GOOD)), st.integers(0, 60), PIECES)
@example(0, 0, "\ufeff")
@example(0, 400, "\u2028- x")
@example(65, 0, "\n")
@settings(max_examples=400, deadline=None)
def test_a_damaged_file_is_read_or_refused_with_a_place(at: int, cut: int, piece: str) -> None:
    text = GOOD[:at] + piece + GOOD[at + cut :]
    for each in refusal(text):
        assert each.code in CODES
        assert each.code.startswith("D")
        assert each.primary is not None
        span = each.primary.span
        assert 0 <= span.start <= span.end <= len(text)
        assert "\n" not in span.text
        assert span.line <= text.count("\n") + text.count("\r") + 1


def refusal(text: str) -> tuple[Diagnostic, ...]:
    """Why the file is refused; empty if it is read."""
    try:
        load((("site.yaml", text),))
    except PolicyError as refused:
        return refused.diagnostics
    return ()
