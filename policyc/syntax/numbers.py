"""Number literals: ``0x3f8``, ``0b1010``, ``1016``, with ``_`` between digits; up to 64 bits."""

from __future__ import annotations

from policyc.vocabulary.diagnostic import Diagnostic, Label, error
from policyc.vocabulary.span import Span

_DIGITS = {16: "0123456789abcdefABCDEF", 10: "0123456789", 2: "01"}
_KINDS = {16: "hexadecimal", 10: "decimal", 2: "binary"}
_SPELT = {16: "0-9 a-f A-F", 10: "0-9", 2: "0 and 1"}
_LONGEST = 100
"""Characters a literal may have before it is refused unread: 64 binary digits with separators fit easily."""


def read_number(text: str, span: Span) -> tuple[int, int, Diagnostic | None]:
    """Value, base and what is wrong (then the value is 0) of a literal that starts with a digit."""
    if text[:2] in ("0x", "0X"):
        base, digits = 16, text[2:]
    elif text[:2] in ("0b", "0B"):
        base, digits = 2, text[2:]
    else:
        base, digits = 10, text
    if len(text) > _LONGEST:
        return 0, base, _too_large(f"this number of {len(text):,} characters", span)
    offset = len(text) - len(digits)
    allowed = _DIGITS[base]
    # Most literals are digits alone, and stripping them leaves nothing: no need to look at each.
    for at, char in enumerate(digits if digits.strip(allowed) else ""):
        if char == "_":
            if not 0 < at < len(digits) - 1 or digits[at + 1] == "_":
                return 0, base, _misplaced_separator(text, span, offset + at)
        elif char not in allowed:
            return 0, base, _bad_digit(text, base, span, offset + at)
    if not digits:
        return (
            0,
            base,
            error(
                "E011",
                f"`{text}` has no digits",
                span,
                "a number ends here",
                helps=("write the digits after the prefix",),
            ),
        )
    plain = digits.replace("_", "")
    if base == 10 and len(plain) > 1 and plain[0] == "0":
        return 0, base, _leading_zero(plain, span)
    value = int(plain, base)
    if value >= 1 << 64:
        return 0, base, _too_large(f"`{text}`", span)
    return value, base, None


def _bad_digit(text: str, base: int, span: Span, at: int) -> Diagnostic:
    char = text[at]
    helps = [f"{'hex' if base == 16 else _KINDS[base]} digits are {_SPELT[base]}; `_` may separate groups: 0xC000_0080"]
    if base == 10 and all(each in _DIGITS[16] + "_" for each in text):
        helps.append(f"write 0x{text} if you mean a hexadecimal number")
    if base == 10 and text[-1] in "hH" and all(each in _DIGITS[16] for each in text[:-1]):
        helps.append(f"write 0x{text[:-1].lstrip('0') or '0'} for the assembler's {text}")
    return error(
        "E011",
        f"`{char}` is not a {_KINDS[base]} digit",
        span,
        "in this number",
        secondary=(Label(Span(span.source, span.start + at, span.start + at + 1)),),
        helps=tuple(helps[:2]),
    )


def _misplaced_separator(text: str, span: Span, at: int) -> Diagnostic:
    return error(
        "E011",
        f"`_` in `{text}` does not stand between two digits",
        span,
        secondary=(Label(Span(span.source, span.start + at, span.start + at + 1)),),
        helps=("`_` may separate groups of digits: 0xC000_0080",),
    )


def _leading_zero(plain: str, span: Span) -> Diagnostic:
    value = int(plain, 10)
    help_ = f"write {value} (0x{value:x})"
    if all(char in "01234567" for char in plain):
        help_ += f" or 0x{int(plain, 8):x}"
    return error("E013", f"a leading zero is not octal here; `{plain}` could mean two numbers", span, helps=(help_,))


def _too_large(what: str, span: Span) -> Diagnostic:
    return error(
        "E012",
        f"{what} does not fit 64 bits",
        span,
        "the largest number is 0xffff_ffff_ffff_ffff",
        helps=("an MSR index has 32 bits, an I/O port 16, a value 64",),
    )
