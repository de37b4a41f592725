"""Accesses, addresses and actions as messages spell them."""

from __future__ import annotations

import re

from policyc.semantics.addresses import Names, count
from policyc.semantics.policy import VECTORS, Action, Actions, Condition, Rule
from policyc.vocabulary.access import (
    COLUMN_NAMES,
    COLUMN_WIDTHS,
    COLUMNS,
    IN_MASK,
    IO,
    IO_MASK,
    MSR,
    MSR_MASK,
    MSR_READ,
    MSR_WRITE,
    OUT_MASK,
    WIDTHS,
)
from policyc.vocabulary.intervals import Intervals

_U64 = (1 << 64) - 1
_MOST_RANGES = 4
_VECTOR_NAMES = {number: name for name, number in VECTORS.items()}


def range_text(lo: int, hi: int) -> str:
    """``0x3f8`` or ``0x3f8..0x3ff``."""
    return f"{lo:#x}" if lo == hi else f"{lo:#x}..{hi:#x}"


def items_text(ranges: Intervals) -> str:
    """As a rule would write them: ``0x3f8`` or ``{ 0x3f8, 0x400..0x407 }``."""
    parts = [range_text(lo, hi) for lo, hi in ranges]
    return parts[0] if len(parts) == 1 else "{ " + ", ".join(parts) + " }"


def addresses_text(space: str, ranges: Intervals, names: Names | None = None) -> str:
    """``port 0x3f8``, ``MSRs 0x10..0x12, 0x1b``, ``MSR IA32_DEBUGCTL (0x1d9)``; long lists end in ``and N more``."""
    first = ranges[0][0]
    single = len(ranges) == 1 and first == ranges[0][1]
    word = "MSR" if space == MSR else "port"
    if single:
        return f"{word} {named(space, first, names)}"
    parts = [range_text(lo, hi) for lo, hi in ranges[:_MOST_RANGES]]
    rest = sum(hi - lo + 1 for lo, hi in ranges[_MOST_RANGES:])
    return f"{word}s {', '.join(parts)}" + (f" and {rest:,} more" if rest else "")


def named(space: str, address: int, names: Names | None) -> str:
    """``IA32_DEBUGCTL (0x1d9)``; the number alone for ports, which have other names on other machines."""
    name = names.msr_name(address) if names is not None and space == MSR else None
    return f"{address:#x}" if name is None else f"{name} ({address:#x})"


def counted(space: str, part: int, whole: int) -> str:
    """``1 port of 9``."""
    return f"{count(space, part)} of {whole:,}"


def access_word(columns: int) -> str:
    """``out``, ``inout``, ``read``...: the smallest access word that covers the columns."""
    if columns & MSR_MASK:
        return {1 << MSR_READ: "read", 1 << MSR_WRITE: "write"}.get(columns & MSR_MASK, "rw")
    if not columns & IN_MASK:
        return "out"
    return "inout" if columns & OUT_MASK else "in"


def widths_of(columns: int) -> tuple[int, ...]:
    """Widths of port accesses among the columns."""
    return tuple(
        width for width in WIDTHS if any(columns >> each & 1 and COLUMN_WIDTHS[each] == width for each in COLUMNS)
    )


def columns_text(columns: int) -> str:
    """``out, width 1/2/4``, ``write``."""
    if columns & MSR_MASK:
        return access_word(columns)
    return f"{access_word(columns)}, width {'/'.join(map(str, widths_of(columns)))}"


def clause(columns: int) -> str | None:
    """``out width 4``: access word and widths that name exactly these columns; None where one rule cannot."""
    word = access_word(columns)
    if columns & MSR_MASK:
        return word
    widths = widths_of(columns)
    exact = {"in": IN_MASK, "out": OUT_MASK, "inout": IO_MASK}[word]
    meant = sum(1 << each for each in COLUMNS if exact >> each & 1 and COLUMN_WIDTHS[each] in widths)
    if meant != columns:
        return None
    return word if len(widths) == len(WIDTHS) else f"{word} width {', '.join(map(str, widths))}"


def accesses_text(space: str, ranges: Intervals, columns: int, names: Names | None = None) -> str:
    """What a title names, in the words of `policyc explain`: ``out 0x3f8``, ``wrmsr IA32_EFER (0xc0000080)``."""
    word = {"read": "rdmsr", "write": "wrmsr", "rw": MSR, "inout": IO}.get(access_word(columns), access_word(columns))
    lo, hi = ranges[0]
    where = named(space, lo, names) if lo == hi or len(ranges) > 1 else range_text(lo, hi)
    wide = widths_of(columns) if space == IO else ()
    return f"{word} {where}" + (f" width {wide[0]}" if len(wide) == 1 else "")


def access_text(column: int, address: int, names: Names | None = None) -> str:
    """``wrmsr IA32_EFER (0xc0000080)``, ``out 0x64 width 1``."""
    word, _, width = COLUMN_NAMES[column].partition(" ")
    where = named(MSR if column <= MSR_WRITE else IO, address, names)
    return f"{word} {where}" + (f" {width}" if width else "")


def actions_text(actions: Actions) -> str:
    """``log, mask(and=0xf, or=0x0)``: as the policy would write them, arguments at their default left out."""
    return ", ".join(map(action_text, actions))


def action_text(action: Action) -> str:
    arguments = dict(action.arguments)
    if action.name == "log":
        return f"log(rate={arguments['rate']})" if arguments.get("rate") else "log"
    if action.name == "inject":
        vector = action.number("vector")
        return f"inject({_VECTOR_NAMES.get(vector, vector)})"
    if action.name == "forward":
        return f"forward({action.handler()})"
    if action.name == "const":
        return f"const({action.number('value'):#x})"
    if action.name == "shadow":
        return f"shadow(init={action.number('init'):#x})"
    if action.name == "mask":
        kept, added = action.number("and"), action.number("or")
        parts = [] if kept == _U64 else [f"and={kept:#x}"]
        if added or not parts:
            parts.append(f"or={added:#x}")
        return f"mask({', '.join(parts)})"
    return action.name


def flat(text: str) -> str:
    """A piece of a policy in one line, without comments and continuations."""
    return " ".join(re.sub(r"#[^\r\n]*|\\[ \t]*(?=\r?\n)", " ", text).split())


def brief(text: str, most: int = 40) -> str:
    """The same, in at most ``most`` characters."""
    plain = flat(text).replace(", }", " }")
    return plain if len(plain) <= most else f"{plain[: most - 4]} ..."


def condition_text(condition: Condition) -> str:
    """``value & 0x80000000 != 0x0``."""
    subject = condition.subject if condition.mask == _U64 else f"{condition.subject} & {condition.mask:#x}"
    return f"{subject} {condition.op} {condition.operand:#x}"


def says(rule: Rule) -> str:
    """``says kill``, ``allows it``: what a rule does, after its name."""
    return f"says {actions_text(rule.actions)}" if rule.traps else "allows it"


def rule_name(rule: Rule) -> str:
    """``rule `com1``` for a labelled rule, ``this rule`` for others."""
    return "this rule" if rule.label is None else f"rule `{rule.label}`"
