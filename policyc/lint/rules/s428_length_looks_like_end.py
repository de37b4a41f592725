"""S428: a length that looks like the last offset."""

from __future__ import annotations

from collections.abc import Iterator

from policyc.lint.rule import Rule
from policyc.lint.subject import Subject
from policyc.lint.words import found
from policyc.semantics.modules import Loaded
from policyc.syntax import tree
from policyc.vocabulary.access import IO, IO_MASK
from policyc.vocabulary.diagnostic import Accesses, Diagnostic, Edit, Fix

RULE = Rule(
    "S428",
    "length-looks-like-end",
    "warning",
    why=(
        "A block of registers has a power of two of them and begins at a multiple of it. A length one less, "
        "at such a base, is nearly always the last offset written where the count is meant: the last port is "
        "decided the other way. Jailhouse's configurations have three of them."
    ),
    source=("siemens/jailhouse configs/x86/qemu-x86.c (0x0 len 0x1f, 0xd000 len 0xff), e1000-demo.c (0xc000 len 0x3f)"),
    avoid="""\
language 1
target vmx
default exit
# Registers of the network card.
allow io 0xc000 len 0x3f
""",
    prefer="""\
language 1
target vmx
default exit
# Registers of the network card.
allow io 0xc000 len 0x40
""",
)


def audit(subject: Subject) -> Iterator[Diagnostic]:
    """Of an image: ports alone among others, one less than a block of them, from where a block would begin."""
    for rule in subject.policy.rules:
        ((lo, hi),) = rule.ranges
        count = hi - lo + 1
        if rule.space == IO and _short(lo, count):
            words = ("exit", "does not") if rule.traps else ("do not exit", "does")
            yield found(
                RULE,
                rule.span,
                f"in {subject.image}, ports {lo:#x}..{hi:#x} {words[0]} and {hi + 1:#x} {words[1]}; a block of "
                f"{count + 1:#x} would end there",
                notes=("the length was counted as if it were the last offset",),
                accesses=(
                    Accesses(IO, rule.ranges, IO_MASK, rule.traps),
                    Accesses(IO, ((hi + 1, hi + 1),), IO_MASK, not rule.traps),
                ),
            )


def check(subject: Subject) -> Iterator[Diagnostic]:
    for file, statement in subject.statements():
        if not isinstance(statement, tree.Rule | tree.LetSet | tree.Never | tree.Assert):
            continue
        for items in (statement.items, statement.excepts):
            for item in items.items if items is not None else ():
                if isinstance(item, tree.Length):
                    yield from _check(subject, file, statement.space.text, item)


def _check(subject: Subject, file: Loaded, space: str, item: tree.Length) -> Iterator[Diagnostic]:
    scope = subject.scope(file)
    base, count = scope.number(item.base, [], space), scope.number(item.size, [])
    if base is None or count is None or not _short(base, count):
        return
    last = base + count
    text = f"{count + 1:#x}" if item.size.span.text.startswith("0x") else str(count + 1)
    yield found(
        RULE,
        item.span,
        f"`{item.span.text}` ends at {last - 1:#x}; a block of {count + 1:#x} would end at {last:#x}",
        "the length looks like the last offset",
        notes=("`len` counts, it does not name the last one",),
        helps=(f"if the block has {count + 1} of them, write len {text}",),
        fixes=(Fix("count the last one too", (Edit(item.size.span, text),)),),
    )


def _short(base: int, count: int) -> bool:
    """Whether a block of one more would have a power of two of registers and begin at a multiple of it."""
    return count + 1 >= _LEAST and not count & count + 1 and not base % (count + 1)


_LEAST = 8
"""Blocks of fewer registers are rarely written by a base and a length."""
