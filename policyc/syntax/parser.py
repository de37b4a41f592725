"""Text to syntax tree: every statement on its own, so that one mistake costs one statement and one report."""

from __future__ import annotations

from policyc.syntax import plain, tree
from policyc.syntax.builder import TreeBuilder
from policyc.syntax.lalr import Unexpected, reducers
from policyc.syntax.lalr import parse as parse_piece
from policyc.syntax.statements import CLOSE, COMMENT, MAX_MISTAKES, PROFILE_HEAD, STATEMENT, TEST_HEAD, Piece, pieces
from policyc.vocabulary.diagnostic import Diagnostic, error
from policyc.vocabulary.span import Source, Span

MAX_STATEMENT = 1 << 18
"""Characters of one statement."""

MAX_PIECES = 1 << 17
"""Statements, lines of blocks and comments of one file; each takes about 1 KiB once it is read."""

_IN_PROFILE = (tree.Rule, tree.Default, tree.Assert, tree.Never)


def parse(source: Source) -> tuple[tree.Module, list[Diagnostic]]:
    """The module with every statement that could be read, and a diagnostic for each that could not.

    Diagnostics are in source order; all are of severity error.
    """
    return Parser(source).run()


class Parser:
    """Reads one text. A piece at a time; what spans pieces (comments above, blocks around) is kept in between."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.builder = TreeBuilder(source)
        self.methods = reducers(self.builder)
        self.problems: list[Diagnostic] = []
        self.statements: list[tree.Statement] = []
        self.comments: list[tree.Comment] = []
        self.waivers: list[tree.Waiver] = []
        self.doc: list[str] = []
        self.doc_end = -1
        self.blocks: list[_Block] = []
        self.last = (0, -1)
        self.pending: list[tree.Comment] = []

    def run(self) -> tuple[tree.Module, list[Diagnostic]]:
        splitting: list[Diagnostic] = []
        for count, piece in enumerate(pieces(self.source, splitting)):
            if count == MAX_PIECES:
                self.problems.append(self.too_long(piece))
                break
            if piece.kind == COMMENT:
                self.comment(piece)
            elif piece.kind == CLOSE:
                self.close()
            else:
                self.statement(piece)
            if len(self.problems) + len(splitting) + len(self.builder.problems) >= MAX_MISTAKES:
                break
        while self.blocks:
            self.close()
        for comment in self.pending:
            self.waive(comment, (self.source.line_count + 1, self.source.line_count + 1))
        self.problems += splitting + self.builder.problems
        if len(self.problems) >= MAX_MISTAKES:
            self.problems.append(self.too_many())
        self.problems += self.order()
        self.problems.sort(key=Diagnostic.sort_key)
        module = tree.Module(self.source, tuple(self.statements), tuple(self.comments), tuple(self.waivers))
        return module, self.problems

    def too_long(self, piece: Piece) -> Diagnostic:
        said = f"a file has at most {MAX_PIECES:,} statements and comments"
        at = Span(self.source, piece.start, piece.start + 1)
        return error("E004", said, at, helps=("put some into a file of their own, and import it",))

    def too_many(self) -> Diagnostic:
        last = max((each.primary.span.end for each in self.problems if each.primary), default=0)
        at = Span(self.source, last, last)
        return error("E004", f"reading stops here, after {MAX_MISTAKES} mistakes", at, helps=("is this a policy?",))

    # comments

    def comment(self, piece: Piece) -> None:
        comment = tree.Comment(
            self.source.text[piece.start : piece.end], piece.own_line, Span(self.source, piece.start, piece.end)
        )
        self.comments.append(comment)
        inside = piece.start < self.last[1]
        if comment.own_line and not inside:
            if not self.adjoins(piece.start):
                self.doc = []
            self.doc_end = piece.end
            if comment.text.startswith("##"):
                text = comment.text.lstrip("#")
                self.doc.append(text[1:] if text[:1] == " " else text)
        if "policyc" in comment.text:
            if comment.own_line and not inside:
                self.pending.append(comment)
            else:
                self.waive(comment, self.lines(*self.last))

    def adjoins(self, start: int) -> bool:
        """Whether no blank line lies between the last comment and start."""
        gap = self.source.text[self.doc_end : start].replace("\r\n", "\n").replace("\r", "\n")
        return self.doc_end >= 0 and gap.count("\n") <= 1

    def lines(self, start: int, end: int) -> tuple[int, int]:
        return self.source.position(start)[0], self.source.position(max(start, end - 1))[0]

    def waive(self, comment: tree.Comment, covers: tuple[int, int]) -> None:
        from policyc.syntax.waivers import read_waiver

        waiver = read_waiver(self.source, comment, covers, self.problems)
        if waiver is not None:
            self.waivers.append(waiver)

    # statements

    def statement(self, piece: Piece) -> None:
        doc = tuple(self.doc) if self.doc and self.adjoins(piece.start) else ()
        self.doc, self.doc_end = [], -1
        self.last = (piece.start, piece.end)
        if self.pending:
            for comment in self.pending:
                self.waive(comment, self.lines(piece.start, piece.end))
            self.pending = []
        head = piece.kind in (PROFILE_HEAD, TEST_HEAD)
        in_test = bool(self.blocks) and self.blocks[-1].kind == TEST_HEAD and not head
        value = self.read(piece, piece.kind if head else "case" if in_test else "statement", doc)
        if head:
            if self.blocks:
                self.misplaced(piece, "a block", self.blocks[-1].kind)
            self.blocks.append(_Block(piece.kind, value))
        elif value is not None:
            self.keep(piece, value)

    def keep(self, piece: Piece, value: tree.Statement | tree.Case) -> None:
        if not self.blocks:
            assert not isinstance(value, tree.Case)
            self.statements.append(value)
        elif self.blocks[-1].kind == PROFILE_HEAD and not isinstance(value, _IN_PROFILE):
            self.misplaced(piece, f"`{self.source.text[piece.start : piece.end].split(None, 1)[0]}`", PROFILE_HEAD)
        else:
            self.blocks[-1].body.append(value)

    def read(self, piece: Piece, symbol: str, doc: tuple[str, ...]) -> tree.Statement | tree.Case | None:
        if piece.end - piece.start > MAX_STATEMENT:
            message = f"a statement has more than {MAX_STATEMENT:,} characters"
            at = Span(self.source, piece.start, piece.start + 1)
            self.problems.append(error("E004", message, at, helps=("split a long list over several rules",)))
            return None
        if symbol == STATEMENT:
            rule = plain.rule(self.source, piece.start, piece.end, doc)
            if rule is not None:
                return rule
        self.builder.begin(piece.start, piece.end, doc)
        before = len(self.builder.problems)
        try:
            value: tree.Statement | tree.Case = parse_piece(self.source, piece.start, piece.end, symbol, self.methods)
        except Unexpected as unexpected:
            from policyc.syntax.errors import explain

            if len(self.builder.problems) == before:
                self.problems.append(explain(self.source, piece.start, piece.end, symbol, unexpected))
            return None
        return None if len(self.builder.problems) > before else value

    def close(self) -> None:
        block = self.blocks.pop()
        self.doc, self.doc_end = [], -1
        if self.blocks:
            return
        if isinstance(block.head, tree.Profile):
            body = tuple(each for each in block.body if isinstance(each, _IN_PROFILE))
            self.statements.append(block.head._replace(body=body))
        elif isinstance(block.head, tree.Test):
            cases = tuple(each for each in block.body if isinstance(each, tree.Case))
            self.statements.append(block.head._replace(cases=cases))

    def misplaced(self, piece: Piece, what: str, block: str) -> None:
        where, holds = ("profile", "rules, defaults, assertions and `never allow`")
        if block == TEST_HEAD:
            where, holds = ("test", "lines such as: rdmsr 0x10 => exit")
        span = Span(self.source, piece.start, piece.end)
        self.problems.append(
            error("E001", f"{what} cannot stand in a `{where}` block", span, helps=(f"a {where} holds {holds}",))
        )

    def order(self) -> list[Diagnostic]:
        """``language`` is first, and once."""
        return [
            error(
                "E081", "`language` must be the first statement of the file", each.span, helps=("move it to the top",)
            )
            for each in self.statements[1:]
            if isinstance(each, tree.Language)
        ]


class _Block:
    """A profile or test that is open. head: None where it could not be read."""

    __slots__ = ("body", "head", "kind")

    def __init__(self, kind: str, head: tree.Statement | tree.Case | None) -> None:
        self.kind = kind
        self.head = head
        self.body: list[tree.Statement | tree.Case] = []
