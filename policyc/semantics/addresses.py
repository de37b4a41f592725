"""Addresses in words: what is wrong with a number or a name where an MSR or a port is meant."""

from __future__ import annotations

import re

from policyc.syntax import tree
from policyc.vocabulary.access import IO, MSR, MSR_LAST, PORT_LAST
from policyc.vocabulary.diagnostic import WARNING, Diagnostic, Edit, Fix, Label, error
from policyc.vocabulary.intervals import Intervals
from policyc.vocabulary.near import nearest
from policyc.vocabulary.span import Span
from policyc.vocabulary.typed import Protocol

LAST = {MSR: MSR_LAST, IO: PORT_LAST}
_ELSEWHERE = "changes what is intercepted"


class Names(Protocol):
    """The database as this stage needs it. Numbers are MSR indexes or ports; names are case-sensitive."""

    version: str
    names: int

    def msr(self, name: str) -> Intervals | None: ...
    def port(self, name: str) -> Intervals | None: ...
    def msr_member(self, name: str, number: int) -> int | None: ...
    def port_member(self, name: str, number: int) -> int | None: ...
    def msr_family(self, name: str) -> int | None: ...
    def port_family(self, name: str) -> int | None: ...
    def msr_name(self, index: int) -> str | None: ...
    def port_name(self, port: int) -> str | None: ...
    def suggest_msr(self, text: str) -> list[tuple[str, int]]: ...
    def suggest_port(self, text: str) -> list[tuple[str, int]]: ...
    def msr_unreadable(self, index: int) -> bool: ...


def count(space: str, number: int) -> str:
    """``8 ports``, ``1 MSR``."""
    word = "MSR" if space == MSR else "port"
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def in_space(space: str, value: int, span: Span, problems: list[Diagnostic], lo: int | None = None) -> bool:
    """Whether an address exists; E022 or E023 if not. lo: the low end of the range that ends at it, if any."""
    if value <= LAST[space]:
        return True
    if space == MSR:
        said = f"MSR index {value:#x} does not exist"
        helps = ("an MSR index has 32 bits: count its digits",)
        problems.append(error("E023", said, span, "MSR indexes end at 0xffffffff", helps=helps))
        return False
    notes = ["a multi-byte IN or OUT that runs past 0xffff always exits, whatever the bitmap says"]
    helps = ("a port has 16 bits: count its digits",)
    if lo is not None and lo <= PORT_LAST:
        lost = f"{PORT_LAST + 1:#x}..{value:#x}"
        notes.append(f"cut silently, this range would lose {count(IO, value - PORT_LAST)} ({lost})")
        helps = (f"write {lo:#x}..0xffff",)
    problems.append(
        error(
            "E022", f"I/O port {value:#x} does not exist", span, "ports end at 0xffff", notes=tuple(notes), helps=helps
        )
    )
    return False


def reversed_range(item: tree.Range, lo: int, hi: int, space: str) -> Diagnostic:
    """``0x3ff..0x3f8``."""
    turned = f"{item.hi.span.text}..{item.lo.span.text}"
    return error(
        "E021",
        f"range starts at {lo:#x} but ends at {hi:#x}",
        item.span,
        "empty: the low end must come first",
        notes=(f"ranges are inclusive at both ends: {hi:#x}..{lo:#x} is {count(space, lo - hi + 1)}",),
        fixes=(Fix("turn it round", (Edit(item.span, turned),)),),
    )


def hint_decimal(database: Names, space: str, expr: tree.Expr, problems: list[Diagnostic]) -> None:
    """Y706: ``intercept io 378``, where 0x378 has a name and port 378 has none."""
    if not isinstance(expr, tree.Number) or expr.base != 10 or expr.value < 10:
        return
    meant = int(str(expr.value), 16)
    name = database.msr_name if space == MSR else database.port_name
    if meant > LAST[space] or name(expr.value) is not None or name(meant) is None:
        return
    problems.append(
        error(
            "Y706",
            f"`{expr.span.text}` is decimal: {expr.value:#x}",
            expr.span,
            helps=(f"did you mean 0x{expr.value} ({name(meant)})?", f"if not, write {expr.value:#x}"),
            fixes=(Fix("write it in hexadecimal", (Edit(expr.span, f"0x{expr.value}"),), doubt=_ELSEWHERE),),
            severity=WARNING,
        )
    )


_HEX = re.compile(r"0[xX][0-9A-Za-z_]+")
_SPACE = re.compile(r"\b(msr|io|rdmsr|wrmsr|in|out)\b")
_HEX_DIGITS = "0123456789ABCDEF"


def explain_number(database: Names, found: Diagnostic) -> Diagnostic:
    """E011 with what the number was to be: an MSR index or a port, and the only known one that is one digit away."""
    if found.primary is None or found.code != "E011" or _HEX.fullmatch(found.primary.span.text) is None:
        return found
    span = found.primary.span
    before = span.source.text[max(span.source.line_start(span.line), span.start - 200) : span.start]
    words = _SPACE.findall(before)
    if not words or "->" in before or "value" in before:
        return found
    space = MSR if "msr" in words[-1] else IO
    what = "MSR index" if space == MSR else "port"
    helps = found.helps
    name_of = database.msr_name if space == MSR else database.port_name
    digits = span.text[2:].replace("_", "")
    wrong = [at for at, char in enumerate(digits) if char.upper() not in _HEX_DIGITS]
    if len(wrong) == 1:
        texts = [digits[: wrong[0]] + each + digits[wrong[0] + 1 :] for each in _HEX_DIGITS]
        known = [(text, name) for text in texts if int(text, 16) <= LAST[space] and (name := name_of(int(text, 16)))]
        if len(known) == 1:
            text, name = known[0]
            only = f"it is the only known {'MSR' if space == MSR else 'port'} one digit away"
            helps = (*helps[:1], f"did you mean 0x{text} ({name})? {only}")
    return found._replace(primary=Label(span, f"in this {what}"), helps=helps)


def unknown_name(database: Names, space: str, name: tree.Name, sets: list[str], modules: list[str]) -> Diagnostic:
    """E031 or E032, with what may have been meant."""
    code, word, command = ("E031", "MSR", "msr") if space == MSR else ("E032", "I/O port", "port")
    text = name.text
    other = database.port(text) if space == MSR else database.msr(text)
    if other is not None:
        there = "I/O port" if space == MSR else "MSR"
        say = "io" if space == MSR else "msr"
        return error(
            "E041",
            f"`{text}` is an {there} ({other[0][0]:#x}), not an {word}",
            name.span,
            helps=(f"say `{say} {text}`",),
        )
    if text in modules:
        return error(
            "E043", f"`{text}` is a module, not an address", name.span, helps=(f"name a set of it: {text}.NAME",)
        )
    upper = text.upper()
    if upper != text and (database.msr(upper) if space == MSR else database.port(upper)) is not None:
        return error(
            code,
            f"no {word} is named `{text}`",
            name.span,
            "names of the database are written in upper case",
            helps=(f"write {upper}",),
            fixes=(Fix(f"write {upper}", (Edit(name.span, upper),), doubt=_ELSEWHERE),),
        )
    close = nearest(text, sets, 1)
    found = database.suggest_msr(text) if space == MSR else database.suggest_port(text)
    helps: list[str] = []
    fixes: tuple[Fix, ...] = ()
    if close:
        helps.append(f"did you mean the set `{close[0]}`?")
        fixes = (Fix(f"write {close[0]}", (Edit(name.span, close[0]),), doubt=_ELSEWHERE),)
    elif found:
        helps.append("did you mean " + " or ".join(f"`{each}` ({number:#x})" for each, number in found[:3]) + "?")
        fixes = (Fix(f"write {found[0][0]}", (Edit(name.span, found[0][0]),), doubt=_ELSEWHERE),)
    helps.append(
        f"`policyc {command} {text.lower()[:40]}` lists close names; a set of your own is made with `let {space}`"
    )
    label = f"not in the database ({database.version}, {database.names:,} names)"
    return error(code, f"no {word} is named `{text}`", name.span, label, helps=tuple(helps), fixes=fixes)
