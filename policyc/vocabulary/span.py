"""Places in a source text. Offsets are counted in characters from 0; lines and columns from 1."""

from __future__ import annotations

from bisect import bisect_right

from policyc.vocabulary.typed import NamedTuple


class Source:
    """One policy text and the name it is shown under.

    name: the path as the user gave it (or ``<stdin>``); never made absolute: output is the same in every folder.
    text: the decoded text, line ends as they were found. LF, CRLF and a lone CR each end a line.
    digest: SHA-256 of the bytes as read, lower-case hex.
    base: where the text begins in its file: 0 but for the parts of which policyc.syntax.reparse makes a file.
    """

    __slots__ = ("_starts", "digest", "name", "text")
    base = 0

    def __init__(self, name: str, text: str, digest: str = "") -> None:
        self.name = name
        self.text = text
        self.digest = digest
        self._starts: list[int] | None = None

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {len(self.text)} characters)"

    def _line_starts(self) -> list[int]:
        if self._starts is None:
            starts, text, at = [0], self.text, 0
            if "\r" in text:
                while at < len(text):
                    lf, cr = text.find("\n", at), text.find("\r", at)
                    if cr < 0 and lf < 0:
                        break
                    if cr >= 0 and (lf < 0 or cr < lf):
                        at = cr + 2 if lf == cr + 1 else cr + 1
                    else:
                        at = lf + 1
                    starts.append(at)
            else:
                while (lf := text.find("\n", at)) >= 0:
                    at = lf + 1
                    starts.append(at)
            self._starts = starts
        return self._starts

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1, of the character at offset (0..len(text)); a tab counts as one column."""
        starts = self._line_starts()
        line = bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of line ``number`` (from 1) without its line end; empty past the last line."""
        starts = self._line_starts()
        if not 1 <= number <= len(starts):
            return ""
        end = starts[number] if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end].rstrip("\r\n")

    def line_start(self, number: int) -> int:
        """Offset of the first character of line ``number`` (1..line_count)."""
        return self._line_starts()[number - 1]

    @property
    def line_count(self) -> int:
        return len(self._line_starts())


class Span(NamedTuple):
    """Characters start..end-1 of a source; start == end marks a point (end of file, a missing word)."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]

    def to(self, other: Span) -> Span:
        """The smallest span that covers both; both must be of one source."""
        return Span(self.source, min(self.start, other.start), max(self.end, other.end))
