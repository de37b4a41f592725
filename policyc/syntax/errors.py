"""What a user is told where a statement cannot be read. The words of the grammar never reach a message.

``explain`` asks the hints in HINTS one after the other; the first that knows the mistake answers. A new hint is one
function here, and one line in tests/syntax/test_errors.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from policyc.syntax.lalr import Unexpected
from policyc.syntax.words import CASE_WORDS, STATEMENT_WORDS
from policyc.vocabulary.actions import ACTION_WORDS
from policyc.vocabulary.diagnostic import Diagnostic, Edit, Fix, error
from policyc.vocabulary.near import nearest
from policyc.vocabulary.span import Source, Span


class Failure(NamedTuple):
    """A statement (characters start..end-1, read as symbol) and where it stopped making sense."""

    source: Source
    start: int
    end: int
    symbol: str
    at: Unexpected
    accepted: frozenset[str]

    @property
    def span(self) -> Span:
        return self.at.word.span

    @property
    def text(self) -> str:
        return self.at.word.text

    @property
    def rest(self) -> str:
        """The statement from the unexpected place on."""
        return self.source.text[self.span.start : self.end]

    def word(self, back: int) -> str:
        """The token ``back`` places before the unexpected one; empty before the first."""
        before = self.at.before
        return before[-back].text if len(before) >= back else ""


def explain(source: Source, start: int, end: int, symbol: str, unexpected: Unexpected) -> Diagnostic:
    """The diagnostic for one unreadable statement."""
    failure = Failure(source, start, end, symbol, unexpected, unexpected.accepted())
    for hint in HINTS:
        found = hint(failure)
        if found is not None:
            return found
    return _anything(failure)


def _e001(
    message: str, span: Span, label: str = "", *helps: str, fix: str | None = None, safe: bool = True
) -> Diagnostic:
    fixes = () if fix is None else (Fix(f"write `{fix}`" if fix else "delete it", (Edit(span, fix),), safe),)
    return error("E001", message, span, label, helps=helps[:2], fixes=fixes)


# characters

_LOOKALIKES = {
    "\u2013": "-", "\u2014": "-", "\u2212": "-", "\u2026": "..", "\u201c": '"', "\u201d": '"', "\u2018": "`",
    "\u2019": "`", "\u00a0": " ", "\u3000": " ", "\uff0c": ",", "\uff1a": ":", "\uff5b": "{", "\uff5d": "}",
    "\u2192": "->", "\u21d2": "=>", "\u2260": "!=", "\u2264": "<=", "\u2265": ">=",
}  # fmt: skip


_FULL_WIDTH = re.compile("[\uff01-\uff5e]{1,40}")


def _foreign_character(failure: Failure) -> Diagnostic | None:
    char = failure.text
    if failure.at.kind != "character" or char.isascii():
        return None
    plain = _LOOKALIKES.get(char)
    wide = _FULL_WIDTH.match(failure.rest)
    if wide is not None:
        span = Span(failure.source, failure.span.start, failure.span.start + wide.end())
        narrow = "".join(chr(ord(each) - 0xFEE0) for each in wide.group())
        return _e001(f"`{wide.group()}` is in full-width characters", span, "", f"write `{narrow}`", fix=narrow)
    shown = f"`{char}` (U+{ord(char):04X})" if char.isprintable() else f"U+{ord(char):04X}"
    if plain is None:
        return _e001(f"{shown} is not a character of the language", failure.span, "", "outside comments, text is ASCII")
    what = "a plain space" if plain == " " else f"`{plain}`"
    return _e001(f"{shown} is not {what}", failure.span, "", f"write {what}", fix=plain)


_DASH_RANGE = re.compile(r"[ \t]*[-\u2013][ \t]*(?=[0-9A-Za-z_(`])")


def _dash_range(failure: Failure) -> Diagnostic | None:
    dash = _DASH_RANGE.match(failure.rest)
    if failure.text not in ("-", "\u2013") or ".." not in failure.accepted or dash is None:
        return None
    before = failure.at.before[-1]
    after = failure.source.text[failure.span.start + dash.end() : failure.end]
    second = re.match(r"\w+", after)
    span = Span(failure.source, before.span.end, failure.span.start + dash.end())
    written = f"{before.text}..{second.group() if second else ''}"
    return error(
        "E001",
        "a range is written with `..`, not `-`",
        failure.span,
        "",
        notes=("both ends belong to a range",),
        helps=(f"write {written}",),
        fixes=(Fix(f"write {written}", (Edit(span, ".."),), safe=True),),
    )


def _foreign_comment(failure: Failure) -> Diagnostic | None:
    if failure.at.kind == "character" and (failure.rest.startswith(("//", "/*", ";"))):
        after = failure.rest[1:].split(None, 1)
        if failure.text == ";" and after and after[0] in (*STATEMENT_WORDS, *ACTION_WORDS):
            return _e001("a statement ends with its line, not with `;`", failure.span, "", "begin a new line here")
        if failure.text == ";" and not after:
            return _e001("a statement ends with its line, not with `;`", failure.span, "", "delete the `;`", fix="")
        mark = ";" if failure.text == ";" else failure.rest[:2]
        return _e001(f"`{mark}` does not start a comment", failure.span, "", "comments start with `#`")
    return None


def _open_quote(failure: Failure) -> Diagnostic | None:
    if failure.at.kind != "character" or failure.text not in "\"'`":
        return None
    if failure.text == "'":
        return _e001("text stands in double quotes", failure.span, "", 'write "..."')
    what = "text" if failure.text == '"' else "a name in backquotes"
    line = re.match(r"[^\r\n]*", failure.rest)
    closed = line is not None and failure.text in line.group()[1:]
    if not closed:
        said = f"this `{failure.text}` is never closed"
        return _e001(said, failure.span, f"{what} ends on its line", f"add the closing {failure.text}")
    if failure.text == "`":
        return _e001(
            "a name has letters, digits and `_`, and no digit first",
            failure.span,
            "in these backquotes",
            "choose such a name",
        )
    return _e001(
        "this text cannot be read", failure.span, "", 'inside quotes, write \\" for a quote and \\\\ for a backslash'
    )


# whole statements

_SYNONYMS = {
    "trap": "intercept", "block": "deny", "permit": "allow", "pass": "allow", "passthrough": "allow",
    "forbid": "deny", "reject": "deny", "include": "import", "use": "import", "set": "let", "const": "let const",
    "var": "let", "define": "let", "policy": "profile", "expect": "assert", "exit": "intercept", "log": "intercept",
}  # fmt: skip


_BLOCKS = {"profile": "profile run {", "test": 'test "what it shows" {'}


def _no_block(span: Span) -> Diagnostic:
    return _e001(f"`{span.text}` needs a block in braces", span, "", f"begin like this: {_BLOCKS[span.text]}")


def _case_outside(span: Span) -> Diagnostic:
    return _e001(f"`{span.text}` stands in a `test` block only", span, "", 'write: test "name" { ... }')


def _case(failure: Failure) -> Diagnostic | None:
    """Lines of a test block."""
    if failure.symbol != "case":
        return None
    if not failure.at.before:
        said = f"`{failure.text}` is not an access" if failure.text.isalnum() else "an access is missing"
        return _e001(said, failure.span, "", "a test holds lines such as: rdmsr 0x10 => exit")
    if failure.at.kind == "end" and "=>" in failure.accepted:
        return _e001("the outcome is missing", failure.span, "", "write => exit, or another action")
    return None


def _no_action(failure: Failure) -> Diagnostic | None:
    if failure.at.kind == "end" and failure.word(1) in ("->", "=>"):
        return _e001(f"`{failure.word(1)}` names no action", failure.span, "", f"actions are {', '.join(ACTION_WORDS)}")
    return None


def _first_word(failure: Failure) -> Diagnostic | None:
    if failure.at.before or failure.symbol == "case" or failure.at.kind == "end":
        return None
    text = failure.text
    if text in _BLOCKS:
        return _no_block(failure.span)
    if text in CASE_WORDS:
        return _case_outside(failure.span)
    if not text[:1].isalpha():
        return _e001(
            f"a statement cannot begin with `{text}`",
            failure.span,
            "",
            "begin with a word such as intercept, allow, let",
        )
    return _unknown_statement(failure)


def _label_or_word(failure: Failure) -> Diagnostic | None:
    """``frobnicate io 0x10``: the grammar takes the word for a label and misses its colon."""
    if len(failure.at.before) != 1 or failure.symbol != "statement" or ":" not in failure.accepted:
        return None
    first = failure.at.before[0]
    if first.text in _BLOCKS:
        return _no_block(first.span)
    if first.text in CASE_WORDS:
        return _case_outside(first.span)
    if failure.text in ("override", "intercept", "allow", "deny"):
        return _e001(
            f"the label `{first.text}` needs a `:`",
            first.span,
            "",
            f"write {first.text}: {failure.text} ...",
            fix=first.text + ":",
        )
    return _unknown_statement(failure._replace(at=Unexpected("NAME", first, (), ())))


def _unknown_statement(failure: Failure) -> Diagnostic:
    text = failure.text
    if text in _SYNONYMS:
        say = _SYNONYMS[text]
        ports = ("for ports, which raise no #GP: `intercept io ... -> drop`",) if say == "deny" else ()
        return _e001(f"`{text}` is not a statement", failure.span, "", f"say `{say}`", *ports)
    close = nearest(text, STATEMENT_WORDS)
    if close:
        return _e001(
            f"`{text}` is not a statement", failure.span, "", f"did you mean `{close[0]}`?", fix=close[0], safe=False
        )
    return _e001(
        f"`{text}` is not a statement",
        failure.span,
        "",
        "a statement begins with intercept, allow, deny, default, let, import, profile, assert, never, test or target",
    )


# words in the wrong place

_SPACES = {
    "mrs": "msr", "msrs": "msr", "register": "msr", "rdmsr": "msr", "wrmsr": "msr", "port": "io", "ports": "io",
    "pio": "io", "ioport": "io", "in": "io", "out": "io", "pmio": "io",
}  # fmt: skip


def _space(failure: Failure) -> Diagnostic | None:
    if not {"msr", "io"} <= failure.accepted or failure.at.kind == "character":
        return None
    verb = failure.word(1)
    word = failure.text.lower()
    guess = _SPACES.get(word) or next(iter(nearest(word, ("msr", "io"), 1)), None)
    if failure.at.kind == "NAME" and verb == "let":
        return _e001(
            f"`let {failure.text}` does not say what it names",
            failure.span,
            "",
            f"write let msr {failure.text}, let io {failure.text} or let const {failure.text}",
        )
    if verb == "default":
        return _default_verdict(failure)
    if guess and failure.at.kind not in ("NUMBER", "end"):
        return _e001(
            f"`{failure.text}` is not `msr` or `io`", failure.span, "", f"say `{guess}`", fix=guess, safe=False
        )
    return _e001(
        f"`{verb}` does not say whether MSRs or ports are meant", failure.span, "", f"say `{verb} msr` or `{verb} io`"
    )


_VERDICTS = {
    "allow": "passthrough", "accept": "passthrough", "pass": "passthrough", "deny": "exit", "intercept": "exit",
    "block": "exit", "drop": "exit -> drop", "kill": "exit -> kill", "trap": "exit",
}  # fmt: skip


def _default_verdict(failure: Failure) -> Diagnostic | None:
    if "passthrough" not in failure.accepted or failure.at.kind == "character":
        return None
    say = _VERDICTS.get(failure.text)
    if say:
        return _e001(f"`{failure.text}` is not a default", failure.span, "", f"say `{say}`", fix=say, safe=False)
    shown = f"`{failure.text}` is not a default" if failure.text else "the default is missing"
    return _e001(shown, failure.span, "", "say `default passthrough` or `default exit`")


_ACCESS = {
    "inb": "in", "inw": "in", "inl": "in", "ins": "in", "outb": "out", "outw": "out", "outl": "out", "outs": "out",
    "rdmsr": "read", "wrmsr": "write", "r": "read", "w": "write", "readwrite": "rw", "wr": "rw", "ro": "read",
    "wo": "write", "input": "in", "output": "out", "reads": "read", "writes": "write", "both": "rw",
}  # fmt: skip
_WIDTH_OF = {"b": 1, "w": 2, "l": 4}


def _access_word(failure: Failure) -> Diagnostic | None:
    if "read" not in failure.accepted or not (failure.text[:1].isalpha()):
        return None
    word = failure.text.lower()
    say = _ACCESS.get(word) or next(iter(nearest(word, ("read", "write", "inout", "out"), 1)), None)
    if say is None:
        return None
    helps = [f"say `{say}`"]
    if word[:2] in ("in", "ou") and word[-1] in _WIDTH_OF and word != "in":
        width = _WIDTH_OF[word[-1]]
        size = "1 byte" if width == 1 else f"{width} bytes"
        helps.append(f"for accesses of {size} only: `{say} width {width}`")
    return _e001(f"`{failure.text}` is not an access word", failure.span, "", *helps, fix=say, safe=False)


_CLAUSES = ("except", "read", "write", "rw", "in", "out", "inout", "width", "when", "on", "->")
_FORM = (
    "intercept msr|io ADDRESSES [except ADDRESSES] [read|write|in|out] [width N] [when ...] [on vcpu N] [-> ACTIONS]"
)


def _clause_order(failure: Failure) -> Diagnostic | None:
    """``on vcpu 0 write``: each clause is right, their order is not."""
    if failure.text not in _CLAUSES or not failure.at.before or "end" not in failure.accepted:
        return None
    if failure.text in ("read", "write", "rw", "in", "out", "inout"):
        again = next((w for w in failure.at.before if w.text in ("read", "write", "rw", "in", "out", "inout")), None)
        if again is not None:
            both = "rw" if failure.text in ("read", "write", "rw") else "inout"
            return _e001(
                f"`{again.text}` and `{failure.text}` in one rule",
                failure.span,
                "",
                f"for both directions say `{both}`, or nothing",
            )
    seen = any(word.text == failure.text for word in failure.at.before)
    why = "is given twice" if seen else "comes too late"
    return _e001(f"`{failure.text}` {why} in this statement", failure.span, "", f"the order is: {_FORM}")


def _missing_comma(failure: Failure) -> Diagnostic | None:
    if "," not in failure.accepted or not failure.at.before or failure.at.kind not in ("NUMBER", "NAME", "QUOTED"):
        return None
    before = failure.at.before[-1]
    inside = "}" in failure.accepted or "]" in failure.accepted or ")" in failure.accepted
    if not inside:
        return None
    if before.text in ("msr", "io") and "}" in failure.accepted:
        return _e001(
            f"`{before.text}` stands before the braces, not in them",
            before.span,
            "",
            f"a set holds MSRs or ports, never both: write a statement for `{before.text}`",
        )
    gap = Span(failure.source, before.span.end, before.span.end)
    return error(
        "E001",
        f"a comma is missing between `{before.text}` and `{failure.text}`",
        failure.span,
        "",
        helps=(f"write {before.text}, {failure.text}",),
        fixes=(Fix("add the comma", (Edit(gap, ","),), safe=True),),
    )


def _single_equals(failure: Failure) -> Diagnostic | None:
    if failure.text == "=" and "==" in failure.accepted:
        return _e001("a comparison is written with `==`", failure.span, "", "write ==", fix="==")
    if failure.text == "==" and "=" in failure.accepted:
        return _e001("a definition is written with `=`", failure.span, "", "write =", fix="=")
    return None


def _arrows(failure: Failure) -> Diagnostic | None:
    for wrong, right, where in (("=>", "->", "actions follow `->`"), ("->", "=>", "a test's outcome follows `=>`")):
        if failure.text == wrong and right in failure.accepted:
            return _e001(where, failure.span, "", f"write {right}", fix=right)
    if failure.text == ":" and "->" in failure.accepted and not failure.rest[1:].lstrip()[:1].isdigit():
        return _e001("actions follow `->`", failure.span, "", "write ->", fix="->")
    if failure.text == "-" and failure.rest.startswith("- >"):
        return _e001("`->` is one word", failure.span, "", "write ->")
    if "->" in failure.accepted and failure.text in ACTION_WORDS and failure.text not in failure.accepted:
        return _e001(
            f"the action `{failure.text}` needs `->` before it",
            failure.span,
            "",
            f"write -> {failure.text}",
            fix=f"-> {failure.text}",
        )
    return None


def _brackets(failure: Failure) -> Diagnostic | None:
    if failure.text in ("[", "(") and "{" in failure.accepted:
        return _e001("a set is written in braces", failure.span, "", "write { ... }")
    words = [word.text for word in failure.at.before]
    if failure.text == "," and "(" in words and "->" not in words and ")" in failure.accepted:
        return _e001("a set is written in braces", failure.span, "", "write { ... }")
    if failure.text == "," and "}" not in failure.accepted and {"except", "->"} & failure.accepted:
        return _e001("several addresses stand in braces", failure.span, "", f"write {{ {failure.word(1)}, ... }}")
    if failure.text == "{" and "{" not in failure.accepted and "}" in failure.accepted:
        return _e001(
            "a set cannot hold another in braces",
            failure.span,
            "",
            "sets are flat: leave the inner braces out, or name it with `let`",
        )
    return None


def _quotes_missing(failure: Failure) -> Diagnostic | None:
    if failure.accepted != {"STRING"}:
        return None
    after = re.match(r"[^\s#{]+", failure.rest)
    if after is None:
        return _e001(f"`{failure.word(1)}` needs a text in quotes", failure.span, "", f'write {failure.word(1)} "..."')
    span = Span(failure.source, failure.span.start, failure.span.start + after.end())
    quoted = f'"{after.group()}"'
    return _e001(
        f"the text after `{failure.word(1)}` stands in quotes", span, "", f"write {quoted}", fix=quoted, safe=False
    )


def _open_range(failure: Failure) -> Diagnostic | None:
    if failure.word(1) == "..":
        if failure.text == "." or failure.text == "=":
            return _e001("a range is written with two dots", failure.span, "", "both ends belong to it: 0x3f8..0x3ff")
        if failure.at.kind == "end" or failure.text in ("}", ",", "<"):
            return _e001("this range has no high end", failure.span, "", "a range has both ends: 0x3f8..0x3ff")
    if failure.text == ".." and "(" in failure.accepted:
        return _e001("this range has no low end", failure.span, "", "a range has both ends: 0x3f8..0x3ff")
    if failure.text in (":", "to") and ".." in failure.accepted:
        return _e001("a range is written with `..`", failure.span, "", "write 0x3f8..0x3ff")
    return None


def _computed_end(failure: Failure) -> Diagnostic | None:
    """``BASE + 4 len 2``: an expression beside ``len`` or ``..`` needs parentheses."""
    if failure.text in ("len", "..") and {"+", "|", "<<"} <= failure.accepted:
        return _e001(
            f"a calculation beside `{failure.text}` stands in parentheses", failure.span, "", "write (BASE + 4) len 2"
        )
    if failure.text in ("+", "|", "&", "<<") and failure.text not in failure.accepted and "->" in failure.accepted:
        return _e001(
            "a calculation beside `..` or `len` stands in parentheses", failure.span, "", "write 0x600..(BASE + 4)"
        )
    if failure.text in ("-", "*", "/", "%", "^", ">", ">>") and "+" in failure.accepted:
        return _e001(
            f"`{failure.text}` is not an operator here",
            failure.span,
            "",
            "numbers are joined by |, &, + and <<, and `~` before one",
        )
    return None


def _sign(failure: Failure) -> Diagnostic | None:
    """``shadow(init=-1)``: where a number is needed and a minus stands."""
    if failure.text == "-" and {"NUMBER", "~"} <= failure.accepted:
        return _e001(
            "numbers have no sign", failure.span, "", "write ~0 for all ones, ~0 << 4 for all but the lowest four"
        )
    return None


def _quoted_name(failure: Failure) -> Diagnostic | None:
    if failure.at.kind != "STRING" or "NAME" not in failure.accepted:
        return None
    bare = failure.text[1:-1]
    shown = bare if re.fullmatch(r"[A-Za-z_]\w{0,63}", bare, re.ASCII) else "the name"
    return _e001("names stand without quotes", failure.span, "", f"write {shown}", fix=None if shown != bare else bare)


def _or(failure: Failure) -> Diagnostic | None:
    if failure.text == "or" and "and" in failure.accepted:
        return _e001(f"conditions are not joined by `{failure.text}`", failure.span, "", "write a second rule")
    if failure.text in ("&", "|") and failure.word(1) == failure.text:
        said, say = {
            "&": ("conditions are joined by `and`", "write and"),
            "|": ("conditions are not joined by `||`", "write a second rule"),
        }[failure.text]
        return _e001(said, failure.span, "", say)
    return None


def _never(failure: Failure) -> Diagnostic | None:
    if failure.word(1) == "never" and failure.text in ("msr", "io", "intercept", "deny", "passthrough"):
        space = failure.text if failure.text in ("msr", "io") else "msr"
        return _e001("`never` goes with `allow`", failure.span, "", f"write never allow {space} ...")
    if failure.word(1) == "assert" and failure.text in ("msr", "io"):
        return _e001(
            "an assertion says what it asserts", failure.span, "", f"write assert intercepted {failure.text} ..."
        )
    return None


HINTS: tuple[Callable[[Failure], Diagnostic | None], ...] = (
    _dash_range,
    _arrows,
    _foreign_character,
    _foreign_comment,
    _sign,
    _quoted_name,
    _or,
    _never,
    _case,
    _no_action,
    _open_quote,
    _computed_end,
    _first_word,
    _label_or_word,
    _space,
    _default_verdict,
    _single_equals,
    _missing_comma,
    _brackets,
    _quotes_missing,
    _open_range,
    _access_word,
    _clause_order,
)

_SAID = {
    "NUMBER": "a number", "NAME": "a name", "QUOTED": "", "STRING": "a text in quotes", "end": "the end of the line",
    "read": "an access word", "write": "", "rw": "", "in": "", "out": "", "inout": "", "(": "", "~": "",
    "|": "an operator", "&": "", "+": "", "<<": "", "==": "a comparison", "!=": "", "<": "",
    "<=": "", ">": "", ">=": "",
}  # fmt: skip


def _anything(failure: Failure) -> Diagnostic:
    """No hint knows it: what was found, and what could stand here."""
    parts = []
    for kind in sorted(failure.accepted, key=lambda each: (each not in _SAID, each)):
        said = _SAID.get(kind, f"`{kind}`")
        if kind in ("==", "!=") and "value" not in {word.text for word in failure.at.before} | {"=="}:
            said = f"`{kind}`"
        if said and said not in parts:
            parts.append(said)
    expected = _joined(parts[:7]) if len(parts) <= 7 else ""
    helps = (f"expected {expected}",) if expected else (f"the order is: {_FORM}",)
    if failure.at.kind == "end":
        after = f" after `{failure.word(1)}`" if failure.at.before else ""
        return error("E001", f"the statement ends too early{after}", failure.span, "", helps=helps)
    shown = failure.text if failure.text.isprintable() else f"U+{ord(failure.text[0]):04X}"
    if len(shown) > 40:
        shown = shown[:37] + "..."
    return error("E001", f"`{shown}` does not fit here", failure.span, "", helps=helps)


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}" if parts else ""
