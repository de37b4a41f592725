"""Writes policies of any length that compile: what ``bench.scale`` measures and the growth tests count.

``python -m bench.policies mixed 20000 > mixed.pol``. Same kind, same length: same text, on every machine.

Two kinds. *plain*: one rule a line, one number, one access word: what a program generates. *mixed*: what people and
programs write together, in the shares of ``MIXED``. Every block of 16 addresses has one action, so that rules may
overlap as they like and never clash.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from random import Random

WINDOWS = (0x0, 0xC000_0000)
"""First MSRs of the two windows for which VT-x has bits, 0x2000 each."""

NAMES = ("IA32_EFER", "IA32_STAR", "IA32_LSTAR", "IA32_FMASK", "IA32_APIC_BASE", "IA32_MISC_ENABLE", "IA32_PAT")
_ACTIONS = ("", "", "", "", " -> count, passthrough", " -> drop", " -> log(rate=10), drop", " -> count, exit")
_FEW_PROFILES = 4


def plain(lines: int) -> str:
    """Three rules for ports, then one for an MSR; no two alike in the first 131,000 or so."""
    out = ["language 1", "target vmx, svm", "default passthrough"]
    for number in range(lines - len(out)):
        turn, part = divmod(number, 4)
        if part == 3:
            place = WINDOWS[turn % 2] + turn // 2 % 0x2000
            out.append(f"intercept msr {place:#x} {('read', 'write')[turn // 0x4000 % 2]}")
        else:
            place = turn * 3 + part
            out.append(f"intercept io {place * 7919 % 0x10000:#x} {('in', 'out')[place // 0x10000 % 2]}")
    return "\n".join(out) + "\n"


def mixed(lines: int, seed: int = 8) -> str:
    """Rules of every shape, sets and constants, comments, waivers; at the end a few profiles, tests and claims."""
    writer = _Mixed(Random(seed))
    out = ["language 1", "target vmx, svm", "default passthrough", "let const MASK = 0x80 | 0x40"]
    end = list(writer.end(max(1, lines // 100)))
    while len(out) + len(end) < lines:
        out += writer.some()
    return "\n".join(out[: lines - len(end)] + end) + "\n"


class _Mixed:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.count = 0

    def some(self) -> list[str]:
        """The next lines; as many of each shape as MIXED says."""
        self.count += 1
        return self.random.choices(_SHAPES, _SHARES)[0](self)

    # places

    def block(self, space: str) -> tuple[int, str]:
        """First address of a block of 16, and what is done with it. The last ports, whose exits are tested, just exit."""
        number = self.random.randrange(0x1000 if space == "io" else 0x400)
        action = _ACTIONS[number * 2654435761 >> 7 & 7]
        if space == "io":
            return number * 16, "" if number == 0xFFF else action
        # The named MSRs stand in these, and rules that name them have the plain action.
        first = WINDOWS[number & 1] + (number >> 1) * 16
        named = first in (0x10, 0x1A0, 0x270, 0xC000_0080, 0x40)
        return first, "" if named else action

    def space(self) -> str:
        return self.random.choice(("io", "io", "msr"))

    def access(self, space: str) -> str:
        words = (" in", " out", " inout", "") if space == "io" else (" read", " write", " rw", "")
        return self.random.choice(words)

    # lines

    def number(self) -> list[str]:
        space = self.space()
        first, action = self.block(space)
        return [f"intercept {space} {first + self.random.randrange(16):#x}{self.access(space)}{action}"]

    def range(self) -> list[str]:
        space = self.space()
        first, action = self.block(space)
        lo = self.random.randrange(15)
        where = f"{first + lo:#x}..{first + self.random.randrange(lo, 16):#x}"
        if self.random.random() < 0.3:
            where = f"{first:#x} len {self.random.randrange(1, 17)}"
        return [f"intercept {space} {where}{self.access(space)}{action}"]

    def name(self) -> list[str]:
        return [f"intercept msr {self.random.choice(NAMES)}{self.access('msr')}"]

    def label(self) -> list[str]:
        return [f"rule_{self.count}: {self.number()[0]}"]

    def comment(self) -> list[str]:
        return [f"# of line {self.count}: as the platform's data sheet has it"]

    def trailing(self) -> list[str]:
        return [f"{self.number()[0]}   # seen {self.count} times"]

    def width(self) -> list[str]:
        first, action = self.block("io")
        widths = self.random.choice(("1", "2", "4", "1, 2"))
        return [f"intercept io {first + self.random.randrange(16):#x} out width {widths}{action}"]

    def when(self) -> list[str]:
        first, action = self.block("io")
        asked = self.random.choice(("value & MASK != 0", f"value == {self.random.randrange(256):#x}", "cpl > 0"))
        return [f"intercept io {first + self.random.randrange(16):#x} out width 1 when {asked}{action}"]

    def set(self) -> list[str]:
        space = self.space()
        first, action = self.block(space)
        members = sorted(self.random.sample(range(16), self.random.randrange(2, 9)))
        listed = ", ".join(f"{first + each:#x}" for each in members)
        return [f"intercept {space} {{ {listed} }}{self.access(space)}{action}"]

    def named_set(self) -> list[str]:
        space = self.space()
        first, action = self.block(space)
        name = f"SET_{self.count}"
        return [
            f"let {space} {name} = {{ {first:#x}, {first + 2:#x}..{first + 5:#x},",
            f"    {first + 9:#x} }}",
            f"intercept {space} {name}{self.access(space)}{action}",
        ]

    def waived(self) -> list[str]:
        return [f'{self.number()[0]}   # policyc: ignore[P303] reason="a debug build" until=2027-01-31']

    def documented(self) -> list[str]:
        return [f"## Documented: number {self.count}.", *self.number()]

    def blank(self) -> list[str]:
        return [""]

    def vcpu(self) -> list[str]:
        first, action = self.block("io")
        return [f"intercept io {first + self.random.randrange(16):#x} in on vcpu 0..3{action}"]

    def end(self, lines: int) -> Iterator[str]:
        """Profiles, a test and claims, of about so many lines."""
        share = max(1, (lines - 3 * _FEW_PROFILES) // (_FEW_PROFILES + 2))
        for number in range(_FEW_PROFILES):
            yield f"profile p{number} {{"
            for _ in range(share):
                yield "    " + self.number()[0]
            yield "}"
        yield 'test "every port of the last block exits" {'
        for number in range(share):
            yield f"    out {0xFFF0 + number % 16:#x} => exit"
        yield "}"
        yield "intercept io 0xfff0..0xffff"
        for number in range(share):
            yield f"assert intercepted io {0xFFF0 + number % 16:#x} out"


MIXED: tuple[tuple[Callable[[_Mixed], list[str]], int], ...] = (
    (_Mixed.number, 44), (_Mixed.range, 14), (_Mixed.name, 6), (_Mixed.label, 5), (_Mixed.comment, 5),
    (_Mixed.trailing, 4), (_Mixed.width, 4), (_Mixed.when, 3), (_Mixed.set, 4), (_Mixed.named_set, 2),
    (_Mixed.waived, 1), (_Mixed.documented, 2), (_Mixed.blank, 5), (_Mixed.vcpu, 1),
)  # fmt: skip
"""Shapes of lines, and how many of a hundred are of each."""
_SHAPES = [shape for shape, _ in MIXED]
_SHARES = [share for _, share in MIXED]

KINDS: dict[str, Callable[[int], str]] = {"plain": plain, "mixed": mixed}


def main(words: list[str]) -> int:
    kind, lines = words
    sys.stdout.write(KINDS[kind](int(lines)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
